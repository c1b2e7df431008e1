//! Operations, as requests see them.

pub(crate) mod accept;
mod draft;
mod write;

use std::convert::Infallible;

use agis_base::{OperationId, ServerId, StoreError, Timestamp, Trace, TraceId, UserId};
use agis_servers::{
    Action, Operation, Origin, Request, State,
    game::Catalogue,
    operation::Refusal,
    store::{Accepted, Billing, OperationFilter, OperationStore, Page},
};
use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    db::Db,
    error::{Fault, understood},
    schema::{game_servers, operations},
    word::{Stored, every, stored},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = operations)]
pub(crate) struct OperationRow {
    id: Uuid,
    server_id: i32,
    action: Stored<Action>,
    state: Stored<State>,
    origin: Stored<Origin>,
    actor: String,
    generation: i64,
    error: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    request_id: Option<String>,
    trace_id: Option<String>,
    killed_after_grace: Option<bool>,
    progress: Option<String>,
    image: Option<String>,
}

impl OperationRow {
    pub(crate) fn into_operation<R>(self) -> Result<Operation, Fault<R>> {
        let state = self.state.known("operations.state")?;
        Ok(Operation {
            id: OperationId(self.id),
            server: ServerId(self.server_id),
            action: self.action.known("operations.action")?,
            state,
            origin: self.origin.known("operations.origin")?,
            actor: UserId::from_stored(&self.actor),
            generation: self.generation,
            error: self.error,
            progress: self.progress.filter(|_| state == State::Running),
            image: self.image,
            killed_after_grace: self.killed_after_grace,
            trace: Trace {
                request_id: self.request_id.unwrap_or_else(|| self.id.to_string()),
                trace_id: self.trace_id.as_deref().and_then(TraceId::of_hex),
            },
            created_at: self.created_at,
            finished_at: self.finished_at,
        })
    }
}

/// End of a transaction that only tries whether a request is accepted.
enum Tried {
    Answered(Option<Refusal>),
    Failed(StoreError),
}

impl From<StoreError> for Tried {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

#[async_trait]
impl OperationStore for Db {
    async fn accept(
        &self,
        requests: &[Request],
        billing: Billing,
        catalogue: &Catalogue,
    ) -> Result<Accepted, StoreError> {
        self.transaction(async |conn| accept::accept(conn, requests, billing, Some(catalogue)).await).await
    }

    async fn refusal(
        &self,
        request: &Request,
        billing: Billing,
        catalogue: &Catalogue,
    ) -> Result<Option<Refusal>, StoreError> {
        // The transaction ends with an error in any case, which takes back whatever acceptance wrote.
        let tried = self
            .transaction(async |conn| -> Result<Infallible, Fault<Tried>> {
                let requests = std::slice::from_ref(request);
                let mut accepted =
                    accept::accept(conn, requests, billing, Some(catalogue)).await.map_err(Fault::widened)?;
                Err(Fault::Refused(Tried::Answered(accepted.answers.pop().and_then(Result::err))))
            })
            .await;
        match tried {
            Ok(never) => match never {},
            Err(Tried::Answered(refusal)) => Ok(refusal),
            Err(Tried::Failed(error)) => Err(error),
        }
    }

    async fn operation(&self, id: OperationId) -> Result<Option<(Operation, UserId)>, StoreError> {
        self.read(async |mut conn| {
            let row: Option<(OperationRow, String)> = operations::table
                .inner_join(game_servers::table)
                .filter(operations::id.eq(id.0))
                .select((OperationRow::as_select(), game_servers::discord_id))
                .first(&mut conn)
                .await
                .optional()?;
            row.map(|(row, owner)| Ok((row.into_operation()?, UserId::from_stored(&owner)))).transpose()
        })
        .await
    }

    async fn operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        self.run(async |conn| {
            let rows: Vec<OperationRow> = operations::table
                .filter(operations::id.eq_any(ids))
                .select(OperationRow::as_select())
                .load(conn)
                .await?;
            understood(rows.into_iter().map(OperationRow::into_operation))
        })
        .await
    }

    async fn history(
        &self,
        server: ServerId,
        filter: OperationFilter,
        page: Page<OperationId>,
    ) -> Result<Vec<Operation>, StoreError> {
        self.read(async |mut conn| {
            let mut rows = operations::table
                .filter(operations::server_id.eq(server.0))
                .filter(operations::id.lt(page.after.map_or(Uuid::max(), |id| id.0)))
                .order(operations::id.desc())
                .limit(page.limit.into())
                .select(OperationRow::as_select())
                .into_boxed()
                .filter(operations::action.eq_any(every::<Action>()))
                .filter(operations::state.eq_any(every::<State>()))
                .filter(operations::origin.eq_any(every::<Origin>()));
            if let Some(state) = filter.state {
                rows = rows.filter(operations::state.eq(stored(state)));
            }
            if let Some(action) = filter.action {
                rows = rows.filter(operations::action.eq(stored(action)));
            }
            let rows: Vec<OperationRow> = rows.load(&mut conn).await?;
            rows.into_iter().map(OperationRow::into_operation).collect()
        })
        .await
    }
}
