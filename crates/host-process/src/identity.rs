//! Identity of a process: its number, its start time, and the boot. A number alone names another process after a while.

use std::{fs, io, os::fd::OwnedFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use tokio::io::{Interest, unix::AsyncFd};

/// Identity of a process, which never passes to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Content of `/proc/sys/kernel/random/boot_id`.
    boot: String,
    pid: i32,
    /// Start time in clock ticks since boot; proc(5), `stat`, field 22.
    start: u64,
}

impl Process {
    /// Returns the process that has the number now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        Ok(Self { boot: boot()?, pid, start: stat(pid)?.1 })
    }

    /// Checks whether the process began no earlier than the other one, on the same boot.
    pub(crate) fn is_no_older_than(&self, other: &Self) -> bool {
        self.boot == other.boot && self.start >= other.start
    }

    /// Opens a descriptor of the process; `None` if the process has ended.
    ///
    /// Opens the number first and identifies the process afterwards. A process with the right start time at that moment
    /// had the number all along.
    pub(crate) fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        if boot()? != self.boot {
            return Ok(None);
        }
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(None) };
        let lives = stat(self.pid).is_ok_and(|(state, start)| start == self.start && !matches!(state, 'Z' | 'X'));
        Ok(lives.then_some(descriptor))
    }
}

/// Turns the end of a process into an event: the descriptor becomes readable then.
#[expect(
    deprecated,
    reason = "its successor is unsafe, for types that change or close their descriptor; OwnedFd does not"
)]
pub(crate) fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Returns the state and the start time.
fn stat(pid: i32) -> io::Result<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has an unknown form")))
}

/// Parses the text of `stat`. The second field is a file name, which may hold spaces and parentheses. The rest follows
/// its last parenthesis.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parentheses_in_a_name_shift_no_field() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 1 0 4242 1 2 3";
        assert_eq!(parse_stat(stat), Some(('S', 4242)));
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }

    #[test]
    fn reused_pid_is_somebody_else() {
        let me = Process::of(std::process::id()).expect("this process is in /proc");
        assert!(me.open().expect("/proc can be read").is_some());
        let earlier = Process { start: me.start + 1, ..me.clone() };
        assert!(earlier.open().expect("/proc can be read").is_none());
        let before_reboot = Process { boot: "another".to_owned(), ..me };
        assert!(before_reboot.open().expect("/proc can be read").is_none());
    }
}
