use agis_base::{ServerId, StoreError, UserId};
use async_trait::async_trait;

use crate::{hold::NewHold, server::Server};

/// Holds of servers.
#[async_trait]
pub trait HoldStore: Send + Sync {
    /// Holds a server in the name of this user from now on, in place of an earlier hold. Returns `None` if there is no
    /// such server.
    async fn hold(&self, id: ServerId, by: &UserId, hold: &NewHold) -> Result<Option<Server>, StoreError>;

    /// Ends the hold of a server, if it has one, and wakes the supervisor. Returns `None` if there is no such server.
    async fn release(&self, id: ServerId) -> Result<Option<Server>, StoreError>;
}
