//! Mounts that a game sees: its own `/proc`, `/tmp` and world, and no other server.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::sched::{CloneFlags, unshare};
use rustix::{
    fs::{Mode, OFlags, open},
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change},
};
use serde::{Deserialize, Serialize};

/// Directories for temporary files, which are a game's own, empty at its start, and gone with it.
const TEMPORARY: [&str; 5] = ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"];
/// Maximum size of each, in bytes. Its content is memory.
const TEMPORARY_BYTES: u64 = 1 << 30;
/// Share of the game's limit of memory that each may take: without a cgroup, nobody else counts it.
const TEMPORARY_SHARE: u64 = 4;
/// Mode and bounds of a directory that is hidden. Only the mount points of kept directories are in it.
const HIDDEN_SIZE: &str = "mode=755,size=64k,nr_inodes=1k";

/// Mounts of a game.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct View {
    /// Directories whose content the game does not see, beside those for temporary files.
    pub(crate) hidden: Vec<PathBuf>,
    /// Directories that the game sees although they are below a hidden one: its world, and its program's directory.
    pub(crate) kept: Vec<PathBuf>,
    /// Limit of the game's memory, in bytes; `None` for no limit.
    #[serde(default)]
    pub(crate) memory: Option<u64>,
}

impl View {
    /// Gives this process mounts of its own, and arranges them. Needs the right to mount.
    pub(crate) fn enter(&self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS).map_err(|error| told("a mount namespace", error.into()))?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(|error| told("private mounts", error.into()))?;
        let covered = |path: &PathBuf| self.covers().any(|hidden| path.starts_with(hidden));
        let kept = self.kept.iter().filter(|path| covered(path)).map(|path| Ok((path, handle(path)?)));
        let kept: Vec<(&PathBuf, OwnedFd)> = kept.collect::<io::Result<_>>()?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("proc", "/proc", "proc", flags | MountFlags::NOEXEC, None)
            .map_err(|error| told("/proc", error.into()))?;
        let bytes = self.memory.map_or(TEMPORARY_BYTES, |memory| (memory / TEMPORARY_SHARE).min(TEMPORARY_BYTES));
        let temporary_size = format!("mode=1777,size={bytes},nr_inodes=100k");
        let temporary = TEMPORARY.iter().map(|path| (Path::new(path), temporary_size.as_str()));
        let hidden = self.hidden.iter().map(|path| (path.as_path(), HIDDEN_SIZE));
        for (path, size) in temporary.chain(hidden).filter(|(path, _)| path.is_dir()) {
            let size = std::ffi::CString::new(size)?;
            mount("tmpfs", path, "tmpfs", flags, Some(size.as_c_str()))
                .map_err(|error| told(&path.display().to_string(), error.into()))?;
        }
        for (path, directory) in kept {
            fs::create_dir_all(path)?;
            mount_bind(format!("/proc/self/fd/{}", directory.as_raw_fd()), path)
                .map_err(|error| told(&path.display().to_string(), error.into()))?;
        }
        Ok(())
    }

    fn covers(&self) -> impl Iterator<Item = &Path> {
        TEMPORARY.iter().map(Path::new).chain(self.hidden.iter().map(PathBuf::as_path))
    }
}

/// Opens a directory, to mount it elsewhere after its path is hidden.
fn handle(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).map_err(|error| told(&path.display().to_string(), error.into()))
}

fn told(mounting: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("mounting {mounting} for the game: {error}"))
}
