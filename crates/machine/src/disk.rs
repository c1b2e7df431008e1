//! Space that worlds take, and the reserve of the disk.

use std::{
    ffi::CString,
    fs,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
};

use agis_servers::{game::Size, host::HostError};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, chmod, openat, statat, statvfs},
    io::Errno,
    path::Arg,
};

use crate::{room, trash::TRASH};

/// Entries of a directory that are looked at.
const ENTRIES: usize = 1_000_000;
/// Directories below each other that are looked at. Each keeps a descriptor open.
const DEPTH: usize = 200;
/// Bytes that an entry takes beside its content: its inode.
const ENTRY_BYTES: u64 = 256;
/// Free inodes below which nothing starts. A start makes about ten files, and a stop none.
const INODE_RESERVE: u64 = 1_000;

/// Space that a directory takes on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes, as far as they were counted.
    pub bytes: u64,
    /// Whether the directory has more than was counted: too many entries, or too many directories below each other.
    pub is_cut_off: bool,
}

/// Returns the bytes that a directory takes on its disk, by what this process can see.
pub fn usage(dir: &Path) -> u64 {
    measure(dir).bytes
}

/// Measures a directory. Follows no link and leaves the disk at no mount. Opens directories that their owner has locked, if
/// this account is the owner.
///
/// Each directory is opened from the one above, since no path is as long as a game's directories can be deep.
pub fn measure(dir: &Path) -> Usage {
    let mut usage = Usage { bytes: 0, is_cut_off: false };
    let Ok(top) = fs::symlink_metadata(dir) else { return usage };
    let (mut entries, mut above) = (0, vec![]);
    above.extend(Level::open(rustix::fs::CWD, dir));
    while let Some(level) = above.last_mut() {
        let Some(entry) = level.next() else {
            above.pop();
            continue;
        };
        let Ok(its) = statat(&level.directory, &entry, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if its.st_dev != top.dev() {
            continue;
        }
        let content = u64::try_from(its.st_blocks).unwrap_or_default().saturating_mul(512);
        usage.bytes = usage.bytes.saturating_add(content).saturating_add(ENTRY_BYTES);
        entries += 1;
        if entries >= ENTRIES {
            usage.is_cut_off = true;
            return usage;
        }
        if FileType::from_raw_mode(its.st_mode) != FileType::Directory {
            continue;
        }
        if above.len() >= DEPTH {
            usage.is_cut_off = true;
        } else {
            let below = above.last().and_then(|level| Level::open(&level.directory, &entry));
            above.extend(below);
        }
    }
    usage
}

/// Directory that is being measured.
struct Level {
    directory: OwnedFd,
    entries: Dir,
}

impl Level {
    fn open(above: impl AsFd, name: impl Arg + Copy) -> Option<Self> {
        let directory = open_unlocked(above, name).ok()?;
        let entries = Dir::read_from(&directory).ok()?;
        Some(Self { directory, entries })
    }

    fn next(&mut self) -> Option<CString> {
        loop {
            let entry = self.entries.next()?.ok()?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Some(entry.file_name().to_owned());
            }
        }
    }
}

/// Opens a directory, also one that a game of this account has locked. No link is followed.
pub(crate) fn open_unlocked(above: impl AsFd, name: impl Arg + Copy) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&above, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let locked = openat(&above, name, OFlags::PATH | flags, Mode::empty())?;
            chmod(format!("/proc/self/fd/{}", locked.as_raw_fd()), Mode::RWXU)?;
            openat(&above, name, flags, Mode::empty())
        }
        opened => opened,
    }
}

/// Refuses a start that leaves the disk of this data directory without its reserve: stops and other servers need it.
pub fn check_reserve(root: &Path, reserve: u64) -> Result<(), HostError> {
    // A disk that cannot be asked refuses nothing.
    let Ok(disk) = statvfs(root) else { return Ok(()) };
    // Some filesystems count no inodes.
    if disk.f_files > 0 && disk.f_favail < INODE_RESERVE {
        return Err(HostError::Failed(format!(
            "the host's disk has room for {} files, and AGIS starts nothing below {INODE_RESERVE}: an operator must remove \
             some",
            disk.f_favail
        )));
    }
    let Some(free) = room::disk(root).ok().map(|room| room.free).filter(|free| *free < reserve) else { return Ok(()) };
    let [free, reserve, trash] = [free, reserve, usage(&root.join(TRASH))].map(in_words);
    Err(HostError::Failed(format!(
        "the host's disk has {free} left, and AGIS starts nothing below {reserve} (DISK_RESERVE): an operator must make \
         room; worlds of deleted servers take {trash} (TRASH_MAX)"
    )))
}

/// Refuses a start that leaves another disk of the host without the reserve. `whose` names who fills it. A directory that
/// is not on this machine refuses nothing.
pub fn check_other(dir: &Path, whose: &str, reserve: u64) -> Result<(), HostError> {
    let Some(free) = room::disk(dir).ok().map(|room| room.free).filter(|free| *free < reserve) else { return Ok(()) };
    let [free, reserve] = [free, reserve].map(in_words);
    Err(HostError::Failed(format!(
        "the disk of {whose}, with {}, has {free} left, and AGIS starts nothing below {reserve} (DISK_RESERVE): an operator \
         must make room",
        dir.display()
    )))
}

/// Refuses a start of a server whose world is larger than its limit.
pub fn check_world(world: &Path, limit: Option<Size>) -> Result<(), HostError> {
    let Some(limit) = limit else { return Ok(()) };
    let Usage { bytes, is_cut_off } = measure(world);
    if is_cut_off {
        return Err(HostError::Failed(format!(
            "its world has too many files, or too many folders in each other, to be measured for its limit of {limit}: an \
             operator must remove some"
        )));
    }
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
    use std::os::unix::fs::{PermissionsExt, symlink};

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
    fn no_depth_hides_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let (name, mut below) = ("d".repeat(200), std::path::PathBuf::from("."));
        // Together the names are longer than any path may be, so each is made from within.
        let script = format!(
            "cd {}; for i in $(seq 40); do mkdir {name}; cd {name}; done; head -c 1048576 /dev/zero >f",
            dir.path().display()
        );
        let made = std::process::Command::new("bash").args(["-c", &script]).status().expect("bash");
        assert!(made.success());
        let deep = measure(dir.path());
        assert!((1 << 20..2 << 20).contains(&deep.bytes) && !deep.is_cut_off, "{deep:?}");
        (0..DEPTH + 1).for_each(|_| below.push("e"));
        fs::create_dir_all(dir.path().join(below)).expect("directories");
        assert!(measure(dir.path()).is_cut_off);
    }

    #[test]
    fn locked_directory_is_measured() {
        let dir = tempfile::tempdir().expect("a directory");
        let locked = dir.path().join("locked");
        fs::create_dir(&locked).expect("a directory");
        fs::write(locked.join("large"), vec![1; 1 << 20]).expect("a file");
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).expect("its mode");
        assert!(usage(dir.path()) > 1 << 20);
    }

    #[test]
    fn other_disk_keeps_its_reserve_too() {
        // Nothing is ever free in /proc.
        let refused = check_other(Path::new("/proc"), "the engine", 1 << 20);
        let Err(HostError::Failed(why)) = refused else { panic!("{refused:?}") };
        assert!(why.starts_with("the disk of the engine, with /proc, has 0.0 B left"), "{why}");
        assert_eq!(check_other(Path::new("/absent"), "the engine", 1 << 20), Ok(()));
        assert_eq!(check_other(Path::new("/proc"), "the engine", 0), Ok(()));
    }

    #[test]
    fn sizes_are_in_words() {
        assert_eq!([512, 1536, 5 << 30].map(in_words), ["512.0 B", "1.5 KiB", "5.0 GiB"]);
    }
}
