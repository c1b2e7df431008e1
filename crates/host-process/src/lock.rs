//! Locks between processes by flock(2). Such a lock belongs to the open file, which children inherit. The lock ends
//! when its last holder closes the file or dies.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// Lock for a moment's work. Dropping it releases the lock, even if a child that is being spawned shares the open file.
#[derive(Debug)]
pub(crate) struct Brief(OwnedFd);

impl Brief {
    /// Waits for the lock. Fails, and does not hang, if a holder is frozen in the middle of its work.
    pub(crate) fn within(path: &Path, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        loop {
            match try_exclusive(path)? {
                Some(file) => return Ok(Self(file)),
                None if Instant::now() > until => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} stays locked", path.display())));
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Drop for Brief {
    fn drop(&mut self) {
        // Closing the file would suffice, if no fork were on its way to its exec.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Takes the lock if nobody holds it. Opens the file read-only, so a game that inherits the descriptor can write
/// nothing.
pub(crate) fn try_exclusive(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Checks whether somebody holds the lock exclusively. Tries a shared lock, which [`kill_holders`] does not mistake for
/// an exclusive one.
pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
    let file = match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(false),
        file => file?,
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => flock(&file, FlockOperation::Unlock).map(|()| false).map_err(io::Error::from),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Sends SIGKILL to every other process that shares an exclusive lock on the file, whatever its parent is now. `path`
/// is canonical.
///
/// # Errors
/// Fails if `/proc` cannot be read. Skips processes of other accounts that this process may not inspect.
pub(crate) fn kill_holders(path: &Path) -> io::Result<()> {
    for pid in pids()?.filter(|pid| holds(*pid, path)) {
        let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            continue;
        };
        // The number may have passed to another process before the descriptor was opened.
        if holds(pid, path) {
            // The process may have died meanwhile, as intended.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
    Ok(())
}

/// Returns the processes of this machine, except this one.
pub(crate) fn pids() -> io::Result<impl Iterator<Item = i32>> {
    let own = i32::try_from(std::process::id()).ok();
    let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter(move |pid| Some(*pid) != own))
}

/// Checks whether the process shares an open file that locks `path` exclusively; proc(5), `fdinfo`.
pub(crate) fn holds(pid: i32, path: &Path) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path)).any(|entry| {
        let info = format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_string_lossy());
        let locks = fs::read_to_string(info).unwrap_or_default();
        locks.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK") && line.contains("WRITE"))
    })
}
