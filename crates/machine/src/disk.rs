//! Space that worlds take, and the reserve of the disk.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use agis_servers::{game::Size, host::HostError};

use crate::room;

/// Entries of a directory that are looked at. A world with more has its limit checked by these.
const ENTRIES: usize = 1_000_000;

/// Returns the bytes that a directory takes on its disk, by what this process can see. Follows no link and leaves the disk
/// at no mount.
pub fn usage(dir: &Path) -> u64 {
    let Ok(top) = fs::symlink_metadata(dir) else { return 0 };
    let (mut bytes, mut entries, mut open) = (0_u64, 0, vec![dir.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            // The metadata of an entry are those of a link itself.
            let Some(metadata) = entry.metadata().ok().filter(|it| it.dev() == top.dev()) else { continue };
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            entries += 1;
            if entries >= ENTRIES {
                return bytes;
            }
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    bytes
}

/// Refuses a start that leaves the disk of this path without its reserve: stops and other servers need it.
pub fn check_reserve(path: &Path, reserve: u64) -> Result<(), HostError> {
    // A disk that cannot be asked refuses nothing.
    let Some(free) = room::disk(path).ok().map(|room| room.free).filter(|free| *free < reserve) else { return Ok(()) };
    let [free, reserve] = [free, reserve].map(in_words);
    Err(HostError::Failed(format!(
        "the host's disk has {free} left, and AGIS starts nothing below {reserve} (DISK_RESERVE): an operator must make room"
    )))
}

/// Refuses a start of a server whose world is larger than its limit.
pub fn check_world(world: &Path, limit: Option<Size>) -> Result<(), HostError> {
    let Some(limit) = limit else { return Ok(()) };
    let bytes = usage(world);
    if bytes <= limit.bytes() {
        return Ok(());
    }
    Err(HostError::Failed(format!(
        "its world takes {}, more than its limit of {limit}: an operator must make it smaller, or raise limits.disk",
        in_words(bytes)
    )))
}

/// Writes a size for people, to the tenth.
#[expect(clippy::cast_precision_loss, reason = "a tenth of a unit is shown")]
pub fn in_words(bytes: u64) -> String {
    let mut unit = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if unit.0 >= 1024.0 {
            unit = (unit.0 / 1024.0, next);
        }
    }
    format!("{:.1} {}", unit.0, unit.1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn usage_follows_no_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let other = tempfile::tempdir().expect("a directory");
        fs::write(other.path().join("large"), vec![1; 1 << 20]).expect("a file");
        symlink(other.path(), dir.path().join("directory")).expect("a link");
        symlink(other.path().join("large"), dir.path().join("file")).expect("a link");
        symlink(".", dir.path().join("loop")).expect("a link");
        assert!(usage(dir.path()) < 1 << 16);
        fs::create_dir(dir.path().join("below")).expect("a directory");
        fs::write(dir.path().join("below/large"), vec![1; 1 << 20]).expect("a file");
        assert!((1 << 20..2 << 20).contains(&usage(dir.path())), "{}", usage(dir.path()));
        assert_eq!(usage(&dir.path().join("absent")), 0);
    }

    #[test]
    fn sizes_are_in_words() {
        assert_eq!([512, 1536, 5 << 30].map(in_words), ["512.0 B", "1.5 KiB", "5.0 GiB"]);
    }
}
