use agis_base::{OperationId, ServerId, StoreError, UserId};
use async_trait::async_trait;

use super::{billing::Billing, page::Page};
use crate::{
    game::Catalogue,
    operation::{Action, Operation, Refusal, Request, State},
};

/// Filter of a list of operations; `None` filters nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// Only operations of this state.
    pub state: Option<State>,
    /// Only operations with this action.
    pub action: Option<Action>,
}

/// Operations as rows, seen from those who ask for them.
#[async_trait]
pub trait OperationStore: Send + Sync {
    /// Accepts requests, each by [`crate::power::accept`] under the lock of its server's row, all in one transaction. The
    /// catalogue tells whether a server can start with its settings.
    async fn accept(
        &self,
        requests: &[Request],
        billing: Billing,
        catalogue: &Catalogue,
    ) -> Result<Accepted, StoreError>;

    /// Returns the reason for which [`Self::accept`] would refuse a request now; `None` if it would accept it. Nothing comes of
    /// the request.
    async fn refusal(
        &self,
        request: &Request,
        billing: Billing,
        catalogue: &Catalogue,
    ) -> Result<Option<Refusal>, StoreError>;

    /// Returns an operation and the owner of its server, who sees it also if the server is gone.
    async fn operation(&self, id: OperationId) -> Result<Option<(Operation, UserId)>, StoreError>;

    /// Returns the operations with these ids, in any order.
    async fn operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError>;

    /// Returns a server's operations, the newest first.
    async fn history(
        &self,
        server: ServerId,
        filter: OperationFilter,
        page: Page<OperationId>,
    ) -> Result<Vec<Operation>, StoreError>;
}

/// Result of requests.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    /// Answers, in the order of the requests.
    pub answers: Vec<Result<Operation, Refusal>>,
    /// Operations that ended by this: superseded ones, and those that were complete when accepted.
    pub ended: Vec<(Action, State)>,
}
