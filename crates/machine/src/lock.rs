//! Locks between processes by flock(2). Such a lock belongs to the open file. The lock ends when its last holder closes the
//! file or dies. No game inherits one.

use std::{
    io,
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
};

/// Lock for a moment's work. Dropping it releases the lock, even if a child that is being spawned shares the open file.
#[derive(Debug)]
pub(crate) struct Brief(OwnedFd);

impl Brief {
    /// Waits for the lock. Fails, and does not hang, if a holder is frozen in the middle of its work.
    pub(crate) fn within(path: &Path, patience: Duration) -> io::Result<Self> {
        Self::on(path, OFlags::RDONLY | OFlags::CREATE, patience)
    }

    /// Waits for the lock of a directory, which needs no file.
    pub(crate) fn of_directory(path: &Path, patience: Duration) -> io::Result<Self> {
        Self::on(path, OFlags::RDONLY | OFlags::DIRECTORY, patience)
    }

    fn on(path: &Path, flags: OFlags, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        loop {
            match try_exclusive(path, flags)? {
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

/// Takes the lock if nobody holds it.
fn try_exclusive(path: &Path, flags: OFlags) -> io::Result<Option<OwnedFd>> {
    let file = rustix::fs::open(path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::RUSR | Mode::WUSR)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
