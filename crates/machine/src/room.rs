//! Room that is left on this machine.

use std::{fs, io, path::Path};

use agis_servers::host::Room;
use rustix::fs::statvfs;

/// Returns the room of the disk that holds this path, for programs that are not root.
pub fn disk(path: &Path) -> io::Result<Room> {
    let disk = statvfs(path)?;
    Ok(Room { free: disk.f_bavail.saturating_mul(disk.f_frsize), size: disk.f_blocks.saturating_mul(disk.f_frsize) })
}

/// Checks whether the disk of this path has no room for another file.
pub fn is_full(path: &Path) -> bool {
    statvfs(path).is_ok_and(|disk| disk.f_bavail == 0 || disk.f_files > 0 && disk.f_favail == 0)
}

/// Returns the memory of this machine.
pub fn memory() -> io::Result<Room> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let field = |name| field(&text, name).ok_or_else(|| io::Error::other(format!("/proc/meminfo has no {name}")));
    Ok(Room { free: field("MemAvailable")?, size: field("MemTotal")? })
}

/// Returns a field of /proc/meminfo in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:       16 kB\nMemFree:         1 kB\nMemAvailable:    8 kB\nHugePages_Total:       0\n";
        assert_eq!(field(text, "MemAvailable"), Some(8192));
        assert_eq!(field(text, "HugePages_Total"), None);
        let room = memory().expect("this machine's");
        assert!(0 < room.free && room.free <= room.size, "{room:?}");
    }
}
