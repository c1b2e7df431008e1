//! A message that follows an operation to its end.

use std::{sync::Arc, time::Duration};

use agis_servers::{Access, Operation, Permission, Server};
use tokio::time::{Instant, sleep};

use crate::{
    call::Call,
    handler::Inner,
    render::operation::{self as page, Unfollowed},
    reply::Answer,
};

/// How many messages follow an operation at once. Each asks the database about once a second or two.
pub(crate) const FOLLOWED_MAX: usize = 200;
/// The token of an interaction lives for 15 minutes.
const LONGEST: Duration = Duration::from_secs(14 * 60);
/// People look at the message while it is new.
const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(3);
const NEW: Duration = Duration::from_secs(60);

/// An operation, and its server as it was when the operation was accepted.
pub(crate) struct Follow {
    pub(crate) server: Server,
    pub(crate) operation: Operation,
}

impl Follow {
    /// The message to begin with.
    pub(crate) fn begin(self) -> Answer {
        let message = page::progress(&self.server, &self.operation);
        // What is done by being accepted has ended.
        let goes_on = !self.operation.state.is_final();
        Answer { message, follow: goes_on.then_some(self) }
    }

    /// Edits the message until the operation has ended, as long as that can be.
    pub(crate) async fn run(self, inner: Arc<Inner>, call: Call) {
        let Ok(_place) = inner.followed.clone().try_acquire_owned() else {
            let message = page::unfollowed(&self.server, &self.operation, Unfollowed::Full);
            return inner.replies.update(&call.token, &message).await;
        };
        let operation = match self.end(&inner).await {
            Ok(operation) => operation,
            Err(why) => {
                let message = page::unfollowed(&self.server, &self.operation, why);
                return inner.replies.update(&call.token, &message).await;
            }
        };
        let now = inner.services.servers.get(&call.user, self.server.id).await;
        // Who may not see the server any more is told of it as it was, and nothing of its console.
        let (server, access) = now.unwrap_or((self.server, Access::None));
        inner.replies.update(&call.token, &page::ended(&server, &operation)).await;
        if access.check(Permission::Read.into()).is_ok()
            && let Some(why) = page::why(&server, &operation)
        {
            inner.replies.tell_alone(&call.token, &why).await;
        }
    }

    async fn end(&self, inner: &Inner) -> Result<Operation, Unfollowed> {
        let began = Instant::now();
        loop {
            // A database that does not answer is asked again.
            let found = inner.services.servers.operations(&[self.operation.id]).await.ok();
            let operation = found.and_then(|mut operations| operations.pop());
            if let Some(operation) = operation.filter(|operation| operation.state.is_final()) {
                return Ok(operation);
            }
            if began.elapsed() >= LONGEST {
                return Err(Unfollowed::TooLong);
            }
            tokio::select! {
                () = sleep(if began.elapsed() < NEW { QUICK } else { SLOW }) => {}
                () = inner.ending.cancelled() => return Err(Unfollowed::Ending),
            }
        }
    }
}
