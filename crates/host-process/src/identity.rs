//! Identity of a process: its number, its start time, and the boot. A number alone names another process after a while.

use std::{fs, io, os::fd::OwnedFd};

use agis_machine::boot;
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde::{Deserialize, Serialize};
use tokio::io::{Interest, unix::AsyncFd};

/// Identity of a process, which never passes to another one. The number is that of the PID namespace of `/proc`, also for
/// a process that is number 1 in a namespace of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// See [`boot::id`].
    boot: String,
    pid: i32,
    /// Start time in clock ticks since boot; proc(5), `stat`, field 22.
    start: u64,
}

impl Process {
    /// Returns this process.
    pub(crate) fn this() -> io::Result<Self> {
        let Stat { pid, start, .. } = Stat::read("self")?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { boot: boot::id()?, pid, start })
    }

    /// Opens a descriptor of the process; `None` if the process has ended. The kernel says so by ESRCH or ENOENT alone.
    ///
    /// Opens the number first and identifies the process afterwards. A process with the right start time at that moment
    /// had the number all along.
    ///
    /// # Errors
    /// Fails if the kernel does not say whether the process lives: there is no descriptor left, or no `/proc`.
    pub(crate) fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        if boot::id()? != self.boot {
            return Ok(None);
        }
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = Stat::read(&self.pid.to_string())?;
        let lives = stat.is_some_and(|it| it.start == self.start && !matches!(it.state, 'Z' | 'X'));
        Ok(lives.then_some(descriptor))
    }
}

/// Turns readability of a descriptor into an event. A pidfd becomes readable when its process ends.
#[expect(
    deprecated,
    reason = "its successor is unsafe, for types that change or close their descriptor; OwnedFd does not"
)]
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Facts of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    state: char,
    start: u64,
}

impl Stat {
    /// Reads the facts of a process; `None` if the process has ended.
    fn read(pid: &str) -> io::Result<Option<Self>> {
        let path = format!("/proc/{pid}/stat");
        match fs::read_to_string(&path) {
            Ok(text) => {
                Self::parse(&text).map(Some).ok_or_else(|| io::Error::other(format!("{path} has an unknown form")))
            }
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::SRCH)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Parses the text of `stat`. The second field is a file name, which may hold spaces and parentheses. The rest
    /// follows its last parenthesis.
    fn parse(text: &str) -> Option<Self> {
        let pid = text.split_once(' ')?.0.parse().ok()?;
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Self { pid, state, start: fields.nth(18)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parentheses_in_a_name_shift_no_field() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 1 0 4242 1 2 3";
        assert_eq!(Stat::parse(stat), Some(Stat { pid: 7, state: 'S', start: 4242 }));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }

    #[test]
    fn reused_pid_is_somebody_else() {
        let me = Process::this().expect("this process is in /proc");
        assert!(me.open().expect("/proc can be read").is_some());
        let earlier = Process { start: me.start + 1, ..me.clone() };
        assert!(earlier.open().expect("/proc can be read").is_none());
        let before_reboot = Process { boot: "another".to_owned(), ..me };
        assert!(before_reboot.open().expect("/proc can be read").is_none());
    }
}
