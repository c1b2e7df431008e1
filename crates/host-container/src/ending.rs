//! How a run ended, for people.

use agis_machine::boot;
use serde::{Deserialize, Serialize};

use crate::{record::Run, seen::Exit};

const REBOOTED: &str = "ended with its machine, which has restarted";
/// Status of a program that SIGKILL ended.
const KILLED: i64 = 128 + 9;

/// End of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Description, for people.
    pub(crate) how: String,
    /// Whether players could join, and the game ended by itself with a good exit status.
    pub(crate) good: bool,
    /// Whether it was a crash: nobody of AGIS asked for the end, and players could join, or the game was not the reason.
    #[serde(default)]
    pub(crate) crashed: bool,
}

impl End {
    /// Returns the end of a run whose container no engine knows any more.
    pub(crate) fn removed(run: &Run) -> Self {
        match &run.asked {
            Some(why) => Self::asked(why.clone()),
            None if has_rebooted(run) => Self::crash(REBOOTED),
            None => Self::crash("its container was removed, and not by AGIS"),
        }
    }

    /// Returns the end of a run whose program has ended in this way. `last_words` are its last lines.
    pub(crate) fn of(run: &Run, exit: &Exit, last_words: Option<String>) -> Self {
        match &run.asked {
            Some(why) if run.was_killed => {
                return Self::asked(format!("{why} (killed: it did not end within {} s)", run.stop.grace_s));
            }
            Some(why) => return Self::asked(why.clone()),
            // The exit status is the one of a game that was told to end.
            None if has_rebooted(run) => return Self::crash(REBOOTED),
            None if run.was_told_to_end => return Self::crash("its container was stopped, and not by AGIS"),
            None => {}
        }
        let good = run.was_ready && run.good_exits.include(exit.code.try_into().unwrap_or(-1));
        let how = by_itself(run, exit);
        let how = if run.was_ready { how } else { format!("{how} before it was ready") };
        let how = match last_words.filter(|_| !run.was_ready) {
            Some(words) => format!("{how}; its last words: {words}"),
            None => how,
        };
        Self { how, good, crashed: run.was_ready && !good }
    }

    /// Returns an end for which AGIS asked.
    pub(crate) fn asked(how: String) -> Self {
        Self { how, good: false, crashed: false }
    }

    fn crash(how: &str) -> Self {
        Self { how: how.to_owned(), good: false, crashed: true }
    }
}

/// Returns whether the machine has restarted since the run began. A record of an earlier version does not say.
fn has_rebooted(run: &Run) -> bool {
    run.boot.as_ref().zip(boot::id().ok()).is_some_and(|(of_run, now)| *of_run != now)
}

fn by_itself(run: &Run, exit: &Exit) -> String {
    match (exit.code, run.memory) {
        (_, Some(limit)) if exit.is_out_of_memory => format!("out of memory: it used more than its {limit}"),
        _ if !exit.complaint.is_empty() => format!("could not be started: {}", exit.complaint),
        // Podman does not always learn why the kernel killed a program.
        (KILLED, Some(limit)) => format!("killed by signal 9, as a game is that needs more than its {limit} of memory"),
        (code, _) if code > 128 => format!("killed by signal {}", code - 128),
        (code, _) => format!("exited with status {code}"),
    }
}
