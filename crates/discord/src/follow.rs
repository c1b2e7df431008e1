//! Follows an operation, or one action on many servers, with a message until the end.

use std::{sync::Arc, time::Duration};

use agis_base::Reach;
use agis_deferrals::{Followed, Held};
use agis_servers::{Access, Operation, Permission, batch::Batch};
use tokio::time::{Instant, sleep};

use crate::{
    answer::{Acted, Answer, Follow, Message},
    context::Context,
    render::{
        batch as summary,
        operation::{self as page, Unfollowed},
    },
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
    /// Returns the first message, which goes on unless all is over: some operations end at their acceptance.
    pub(crate) fn begin(self) -> Answer {
        let goes_on = match &self {
            Self::Operation(acted) => !acted.operation.state.is_final(),
            Self::Batch(batch) => !batch.is_over(),
        };
        Answer { message: self.message(), modal: None, follow: goes_on.then_some(self) }
    }

    /// Returns the message as of now.
    pub(crate) fn message(&self) -> Message {
        match self {
            Self::Operation(acted) => page::progress(&acted.server, &acted.operation),
            Self::Batch(batch) => summary::shown(batch),
        }
    }

    /// Returns the work that is followed.
    pub(crate) fn work(&self) -> Followed {
        match self {
            Self::Operation(acted) => Followed::Operation(acted.operation.id),
            Self::Batch(batch) => Followed::Batch(batch.id),
        }
    }

    /// Edits the message until all is over, or the time is. If Discord does not accept the last edit, the promise stays for
    /// another process.
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
        let place = context.followed.clone().try_acquire_owned();
        match self {
            Self::Operation(acted) if place.is_err() => {
                (page::unfollowed(&acted.server, &acted.operation, Unfollowed::Full), None)
            }
            Self::Batch(batch) if place.is_err() => (summary::unfollowed(&batch, Unfollowed::Full), None),
            Self::Operation(acted) => acted.outcome(context, held, longest).await,
            Self::Batch(batch) => (follow_batch(*batch, context, held, longest).await, None),
        }
    }
}

/// Clock of a message that follows something.
struct Pace<'a> {
    context: &'a Context,
    began: Instant,
    longest: Duration,
    /// Earliest time of the next edit that tells the progress.
    next: Instant,
}

impl<'a> Pace<'a> {
    fn new(context: &'a Context, longest: Duration) -> Self {
        let began = Instant::now();
        Self { context, began, longest, next: began }
    }

    /// Shows the progress, unless the last edit was a moment ago. The next edit shows what this one did not.
    async fn shows(&mut self, token: &str, message: &Message) -> bool {
        if Instant::now() < self.next {
            return false;
        }
        self.next = Instant::now() + PROGRESS;
        self.context.replies.edit(token, message).await.is_ok()
    }

    /// Waits until it is time to look again.
    async fn pause(&self) -> Result<(), Unfollowed> {
        if self.began.elapsed() >= self.longest {
            return Err(Unfollowed::TooLong);
        }
        tokio::select! {
            () = sleep(if self.began.elapsed() < NEW { QUICK } else { SLOW }) => Ok(()),
            () = self.context.ending.cancelled() => Err(Unfollowed::Ending),
        }
    }
}

impl Acted {
    async fn outcome(self, context: &Context, held: &Held, longest: Duration) -> (Message, Option<Message>) {
        let operation = match self.end(context, held.token().reveal(), longest).await {
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
        let mut pace = Pace::new(context, longest);
        let mut shown = self.operation.progress.clone();
        loop {
            // Asks again if the database does not answer.
            let found = context.services.servers.operations(&[self.operation.id]).await.ok();
            if let Some(operation) = found.and_then(|mut operations| operations.pop()) {
                if operation.state.is_final() {
                    return Ok(operation);
                }
                let is_new = operation.progress != shown;
                if is_new && pace.shows(token, &page::progress(&self.server, &operation)).await {
                    shown = operation.progress;
                }
            }
            pace.pause().await?;
        }
    }
}

/// Waits until every server of a batch is done with, and shows how far it is meanwhile. Returns the last message.
async fn follow_batch(mut batch: Batch, context: &Context, held: &Held, longest: Duration) -> Message {
    let mut pace = Pace::new(context, longest);
    let mut shown = summary::shown(&batch);
    loop {
        // Asks again if the database does not answer.
        if let Ok(now) = context.services.servers.batch(held.user(), &Reach::Every, batch.id).await {
            batch = now;
        }
        let message = summary::shown(&batch);
        if batch.is_over() {
            return message;
        }
        if message != shown && pace.shows(held.token().reveal(), &message).await {
            shown = message;
        }
        if let Err(why) = pace.pause().await {
            return summary::unfollowed(&batch, why);
        }
    }
}
