//! Follows an operation with a message until its end.

use std::{sync::Arc, time::Duration};

use agis_deferrals::Held;
use agis_servers::{Access, Operation, Permission};
use tokio::time::{Instant, sleep};

use crate::{
    answer::{Answer, Follow, Message},
    context::Context,
    render::operation::{self as page, Unfollowed},
};

/// Maximum time of following: the token of an interaction lives for 15 minutes.
pub(crate) const LONGEST: Duration = Duration::from_secs(14 * 60);
/// Pause while the message is new and people look at it.
const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(3);
const NEW: Duration = Duration::from_secs(60);
/// Shortest time between two edits that tell the progress: Discord counts edits.
const PROGRESS: Duration = Duration::from_secs(5);

impl Follow {
    /// Returns the first message.
    pub(crate) fn begin(self) -> Answer {
        let message = page::progress(&self.server, &self.operation);
        // Some operations end at their acceptance.
        let goes_on = !self.operation.state.is_final();
        Answer { message, modal: None, follow: goes_on.then_some(self) }
    }

    /// Edits the message until the operation has ended, or the time is over. If Discord does not accept the last edit,
    /// the promise stays for another process.
    pub(crate) async fn run(self, context: Arc<Context>, held: Held, longest: Duration) {
        let (message, why) = self.outcome(&context, &held, longest).await;
        let token = held.token().reveal();
        if context.replies.edit(token, &message).await.is_err() {
            return;
        }
        if let Some(why) = why {
            // The log has it if this fails.
            let _ = context.replies.follow_up(token, &why).await;
        }
        held.end();
    }

    /// Returns the last message, and the reason of a failure for the caller alone.
    async fn outcome(self, context: &Context, held: &Held, longest: Duration) -> (Message, Option<Message>) {
        let ended = match context.followed.clone().try_acquire_owned() {
            Ok(_place) => self.end(context, held.token().reveal(), longest).await,
            Err(_) => Err(Unfollowed::Full),
        };
        let operation = match ended {
            Ok(operation) => operation,
            Err(why) => return (page::unfollowed(&self.server, &self.operation, why), None),
        };
        let now = context.services.servers.get(held.user(), self.server.id).await;
        // A caller who may not see the server any more gets its earlier state, and nothing of its console.
        let (server, access) = now.unwrap_or((self.server, Access::None));
        let may_read = access.check(Permission::Read.into()).is_ok();
        let why = page::why(&server, &operation).filter(|_| may_read);
        (page::ended(&server, &operation), why)
    }

    /// Waits for the end of the operation, and shows its progress meanwhile.
    async fn end(&self, context: &Context, token: &str, longest: Duration) -> Result<Operation, Unfollowed> {
        let began = Instant::now();
        let (mut shown, mut next) = (self.operation.progress.clone(), began);
        loop {
            // Asks again if the database does not answer.
            let found = context.services.servers.operations(&[self.operation.id]).await.ok();
            let operation = found.and_then(|mut operations| operations.pop());
            match operation {
                Some(operation) if operation.state.is_final() => return Ok(operation),
                Some(operation) if operation.progress != shown && Instant::now() >= next => {
                    next = Instant::now() + PROGRESS;
                    // The next edit shows what this one did not.
                    if context.replies.edit(token, &page::progress(&self.server, &operation)).await.is_ok() {
                        shown = operation.progress;
                    }
                }
                _ => {}
            }
            if began.elapsed() >= longest {
                return Err(Unfollowed::TooLong);
            }
            tokio::select! {
                () = sleep(if began.elapsed() < NEW { QUICK } else { SLOW }) => {}
                () = context.ending.cancelled() => return Err(Unfollowed::Ending),
            }
        }
    }
}
