//! Limits that hold without a cgroup ([`crate::cgroup`]).
//!
//! The last step before the game sets the limits of the kernel: RLIMIT_NPROC for the server's own account, and
//! RLIMIT_DATA for each process. RLIMIT_DATA is twice the limit of the memory, since it also counts what a program
//! reserves and never touches, such as the stacks of threads. (RLIMIT_AS would count a JVM's whole address space.) The
//! shim measures what all processes use together, every few seconds.

use std::{fs, io, time::Duration};

use agis_servers::game::{Limits, Size};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::{
    param::page_size,
    process::{Resource, Rlimit, setrlimit},
};
use serde::{Deserialize, Serialize};

/// Time between two looks at the memory. The run of a program that grows faster ends by RLIMIT_DATA.
pub(crate) const LOOK: Duration = Duration::from_secs(5);
/// Processes that are looked at. A run with more is above every sensible limit.
const PROCESSES: usize = 100_000;
/// Readiness of the kernel to kill a game when the machine runs out of memory; proc(5), `oom_score_adj`. AGIS has 0.
const FIRST_TO_GO: &str = "500";

/// Limits that the kernel holds for each process or account.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct KernelLimits {
    /// Bytes of memory of each process.
    data: Option<u64>,
    /// Processes and threads of the account.
    pids: Option<u64>,
}

impl KernelLimits {
    /// Returns the limits of a run. The number of processes can be limited only where the kernel counts them apart
    /// ([`Holder::counts_alone`](crate::holder::Holder::counts_alone)).
    pub(crate) fn of(limits: &Limits, counts_alone: bool) -> Self {
        Self {
            data: limits.memory.map(|memory| memory.bytes().saturating_mul(2)),
            pids: limits.pids.filter(|_| counts_alone).map(|pids| pids.get().into()),
        }
    }

    /// Makes this process, and all that it becomes and begins, the kernel's first choice when the machine runs out of
    /// memory. Otherwise the kernel may choose AGIS. Call this before the account changes: then root has the file.
    pub(crate) fn offer_to_kernel() {
        // A kernel that does not offer this refuses no game.
        let _ = fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
    }

    /// Sets the limits for this process and all that it becomes and begins.
    pub(crate) fn set(self) -> io::Result<()> {
        for (resource, limit) in [(Resource::Data, self.data), (Resource::Nproc, self.pids)] {
            if limit.is_some() {
                setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
            }
        }
        Ok(())
    }
}

/// Returns the reason why a run must end, if its processes use more memory than the limit. `children` are those of this
/// process.
pub(crate) fn beyond_memory(children: Vec<i32>, limit: Option<Size>) -> Option<String> {
    let limit = limit?;
    let all = descendants(children);
    // Resident pages that processes share count for each, so only a second, dearer look decides.
    let is_near = all.iter().filter_map(|pid| resident(*pid)).sum::<u64>() > limit.bytes();
    (is_near && all.iter().filter_map(|pid| proportional(*pid).or_else(|| resident(*pid))).sum::<u64>() > limit.bytes())
        .then(|| out_of_memory(limit))
}

/// Returns the reason of an end by itself, if a process used more memory than the limit.
pub(crate) fn ended_beyond_memory(limit: Option<Size>) -> Option<String> {
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?.max_rss();
    let peak = u64::try_from(peak).ok()?.saturating_mul(1024);
    limit.filter(|limit| peak > limit.bytes()).map(out_of_memory)
}

/// Returns the reason of an end for lack of memory.
pub(crate) fn out_of_memory(limit: Size) -> String {
    format!("out of memory: it used more than its {limit}")
}

/// Returns these processes and all that came of them. Processes whose parents have ended are children of this process.
fn descendants(children: Vec<i32>) -> Vec<i32> {
    let mut all = children;
    let mut next = 0;
    while next < all.len() && all.len() < PROCESSES {
        let threads = fs::read_dir(format!("/proc/{}/task", all[next])).into_iter().flatten().flatten();
        for thread in threads {
            let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        next += 1;
    }
    all
}

/// Returns the bytes of a process in memory; proc(5), `statm`.
fn resident(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok()?.checked_mul(page_size() as u64)
}

/// Returns the bytes of a process in memory, with its share of the shared ones; proc(5), `smaps_rollup`.
fn proportional(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
