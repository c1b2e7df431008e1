use agis_base::{OperationId, ServerId, StoreError, UserId};
use async_trait::async_trait;

use super::{Billing, Page};
use crate::operation::{Action, Operation, Refusal, Request, State};

/// Which operations of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// That have come so far only.
    pub state: Option<State>,
    /// That ask for this only.
    pub action: Option<Action>,
}

/// Operations as rows, seen from those who ask for them.
#[async_trait]
pub trait OperationStore: Send + Sync {
    /// Accepts requests, each by [`crate::power::accept`] under the lock of its server's row, all in one transaction.
    async fn accept(&self, requests: &[Request], billing: Billing) -> Result<Accepted, StoreError>;

    /// An operation, and the owner of its server, who sees it also when the server is gone.
    async fn operation(&self, id: OperationId) -> Result<Option<(Operation, UserId)>, StoreError>;

    /// The operations of those ids, in any order.
    async fn operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError>;

    /// A server's operations, the newest first.
    async fn history(
        &self,
        server: ServerId,
        filter: OperationFilter,
        page: Page<OperationId>,
    ) -> Result<Vec<Operation>, StoreError>;
}

/// What became of requests.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    /// The answers, in the order of the requests.
    pub answers: Vec<Result<Operation, Refusal>>,
    /// What ended by this: operations that were superseded, and those that were done by being accepted.
    pub ended: Vec<(Action, State)>,
}
