//! How a run ended, for people.

use serde::{Deserialize, Serialize};

use crate::{record::Run, seen::Exit};

/// Status of a program that SIGKILL ended.
const KILLED: i64 = 128 + 9;

/// End of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Description, for people.
    pub(crate) how: String,
    /// Whether players could join, and the game ended by itself with a good exit status.
    pub(crate) good: bool,
}

impl End {
    /// Returns the end of a run whose container no engine knows any more.
    pub(crate) fn removed(run: &Run) -> Self {
        let removed = "its container was removed, and not by AGIS".to_owned();
        Self { how: run.asked.clone().unwrap_or(removed), good: false }
    }

    /// Returns the end of a run whose program has ended in this way. `last_words` are its last lines.
    pub(crate) fn of(run: &Run, exit: &Exit, last_words: Option<String>) -> Self {
        let good = run.asked.is_none() && run.was_ready && run.good_exits.include(exit.code.try_into().unwrap_or(-1));
        let how = match &run.asked {
            Some(why) if run.was_killed => format!("{why} (killed: it did not end within {} s)", run.stop.grace_s),
            Some(why) => why.clone(),
            None => {
                let how = by_itself(run, exit);
                let how = if run.was_ready { how } else { format!("{how} before it was ready") };
                match last_words.filter(|_| !run.was_ready) {
                    Some(words) => format!("{how}; its last words: {words}"),
                    None => how,
                }
            }
        };
        Self { how, good }
    }
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
