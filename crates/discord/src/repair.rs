//! Gives answers that a dead process owed.
//!
//! The user reads "thinking…" until somebody edits it, or a message that claims to follow an operation and does not. A
//! known operation is followed further; otherwise the user is told to look. Only an unanswered interaction is touched:
//! the process may have died between its answer and the record of it.

use agis_base::Reach;
use agis_deferrals::{Followed, Held, Place};
use agis_servers::ServersError;
use twilight_model::channel::message::{Message as Shown, MessageFlags};

use crate::{
    answer::Follow,
    call::moment,
    context::Context,
    once, render,
    reply::{Original, Unsent},
};

const INTERRUPTED: &str = "AGIS was restarted while it worked on this. Look with `/server info` or a list, and send it \
                           again if needed.";

/// Result of repairing an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The user was told that the outcome is unknown.
    Told,
    /// The message follows its operation again.
    Followed,
    /// The answer had been given.
    Given,
    /// Discord does not accept the answer any more.
    Gone,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Told, Self::Followed, Self::Given, Self::Gone];

    fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Followed => "followed",
            Self::Given => "given",
            Self::Gone => "gone",
        }
    }

    fn count(self, by: u64) {
        metrics::counter!("agis_bot_interrupted_interactions_total", "outcome" => self.as_str()).increment(by);
    }
}

pub(crate) fn begin_counting() {
    Outcome::ALL.iter().for_each(|outcome| outcome.count(0));
}

/// Gives an answer, or begins one that follows an operation. While Discord or the database is away the promise stays,
/// and is found again.
pub(crate) async fn give(context: &Context, held: Held) -> Option<(Follow, Held)> {
    let shown = match context.replies.original(held.token()).await {
        Original::There(shown) => shown,
        Original::Gone => {
            end(held, Outcome::Gone);
            return None;
        }
        Original::Unknown => return None,
    };
    let waits = waits(&held, &shown);
    match followed(context, &held).await {
        Err(Lost::Away) => None,
        Ok(follow) => {
            if waits && context.replies.edit(held.token().reveal(), &follow.message()).await.is_err() {
                return None;
            }
            told(Outcome::Followed);
            Some((follow, held))
        }
        // The message claims to follow something that nobody can see any more.
        Err(Lost::Unseen) => tell(context, held).await,
        Err(Lost::Nothing) if waits => tell(context, held).await,
        Err(Lost::Nothing) => {
            end(held, Outcome::Given);
            None
        }
    }
}

/// Reason why no operation is followed.
enum Lost {
    /// There is none.
    Nothing,
    /// The user may not see its server any more.
    Unseen,
    /// The database does not answer.
    Away,
}

/// Finds the work that the answer is to follow.
async fn followed(context: &Context, held: &Held) -> Result<Follow, Lost> {
    let servers = &context.services.servers;
    let id = match held.follows().ok_or(Lost::Nothing)? {
        Followed::Operation(id) => id,
        Followed::Batch(id) => {
            return match servers.batch(held.user(), &Reach::Every, id).await {
                Ok(batch) => Ok(Follow::Batch(Box::new(batch))),
                Err(ServersError::Store(_)) => Err(Lost::Away),
                Err(_) => Err(Lost::Unseen),
            };
        }
    };
    let found = servers.operations(&[id]).await.map_err(|_| Lost::Away)?.pop();
    let operation = found.ok_or(Lost::Unseen)?;
    match servers.get(held.user(), operation.server).await {
        Ok((server, _)) => Ok(Follow::operation(server, operation)),
        Err(ServersError::Store(_)) => Err(Lost::Away),
        Err(_) => Err(Lost::Unseen),
    }
}

/// Returns whether the answer is still missing. A button's message shows no "thinking…", so it counts as unanswered
/// until an edit after the press, both by Discord's clock.
fn waits(held: &Held, shown: &Shown) -> bool {
    match held.place() {
        Place::Message => shown.flags.is_some_and(|flags| flags.contains(MessageFlags::LOADING)),
        Place::Component => {
            let pressed = once::interaction(held.key()).map(|id| moment(id.get()).timestamp_micros());
            let edited = shown.edited_timestamp.map(|at| at.as_micros());
            edited.is_none() || edited < pressed
        }
    }
}

/// Says that the outcome is unknown: in place of the answer, or behind the message whose button was pressed, which
/// stays.
async fn tell(context: &Context, held: Held) -> Option<(Follow, Held)> {
    let (message, token) = (render::refusal(INTERRUPTED), held.token().reveal());
    let sent: Result<(), Unsent> = match held.place() {
        Place::Message => context.replies.edit(token, &message).await,
        Place::Component => context.replies.follow_up(token, &message).await,
    };
    if sent.is_ok() {
        end(held, Outcome::Told);
    }
    None
}

fn end(held: Held, outcome: Outcome) {
    told(outcome);
    held.end();
}

fn told(outcome: Outcome) {
    tracing::info!(outcome = outcome.as_str(), "orphaned interaction was repaired");
    outcome.count(1);
}
