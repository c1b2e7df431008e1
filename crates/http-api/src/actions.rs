//! `/servers/actions`: one action on every server with a label.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Json, Query},
};
use agis_base::{BatchId, Label, OperationId, Pace, PowerAction, ServerId, Span, Timestamp};
use agis_servers::{
    Origin,
    batch::{Batch, BatchItem, BatchProgress, BatchSummary, NewBatch},
    store::BatchesQuery,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{May, ReadServers, Somewhere, WriteServers, charge},
    body::{Body, Number},
    current,
    idempotency::Asking,
    page::{List, list_query, yes_or_no},
    path::Id,
    problem::Problem,
    services::Services,
    words,
};

/// Number of servers for which an action costs one token of the caller's limit.
const SERVERS_PER_TOKEN: u32 = 10;

/// An action on many servers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewActions, examples(json!({ "label": "friday", "action": "restart", "at_most": 3, "stagger": "2m" })))]
pub(crate) struct ActOnMany {
    /// The label of the servers, regardless of case.
    #[schema(min_length = 1, max_length = 32)]
    label: String,
    #[schema(value_type = words::ScheduleAction)]
    action: String,
    /// The most operations that are open at a time. Absent: all of them.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100)]
    at_most: Option<Number<i64>>,
    /// The time between the beginnings of two servers, such as `2m`, up to `1h`, and a day from the first to the last. Absent:
    /// none.
    #[schema(max_length = 40)]
    stagger: Option<String>,
}

/// A server of an action on many.
#[derive(Serialize, ToSchema)]
#[schema(as = ActionsItem)]
pub(crate) struct ItemDto {
    #[schema(value_type = i32, minimum = 1)]
    server_id: ServerId,
    /// The name of the server when the action was asked for.
    name: String,
    /// `waiting` for its turn, `refused`, or the state of its operation.
    state: &'static str,
    /// Why it is `refused`: `not_allowed`, `server_deleted`, `no_host`, `insufficient_credits`, `unfit_settings`,
    /// `server_stopped` (a restart would start it), `overtaken` (somebody stopped or held it before its turn), `cancelled` or
    /// `expired` (its turn had not come within a day); later versions may add others. Null otherwise.
    reason: Option<&'static str>,
    /// The operation, which says more. Null unless it was accepted.
    #[schema(value_type = Option<String>, format = "uuid")]
    operation_id: Option<OperationId>,
}

/// An action on many servers, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Actions, examples(json!({
    "id": 3, "label": "friday", "action": "restart", "at_most": 3, "stagger": "2m", "finished": false,
    "created_at": "2026-11-29T20:00:00Z", "servers": [{
        "server_id": 7, "name": "Tuesday railways", "state": "running", "reason": null,
        "operation_id": "0199d3a0-4b5c-7def-8123-456789abcdef"
    }]
})))]
pub(crate) struct ActionsDto {
    #[schema(value_type = i32, minimum = 1)]
    id: BatchId,
    label: String,
    /// Null if a later version of AGIS was asked for it, which alone knows it.
    #[schema(value_type = Option<words::ScheduleAction>)]
    action: Option<&'static str>,
    #[schema(minimum = 1)]
    at_most: Option<u32>,
    stagger: Option<String>,
    /// Whether every server is done with.
    finished: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// A line for each server.
    servers: Vec<ItemDto>,
}

impl From<BatchItem> for ItemDto {
    fn from(BatchItem { server, name, progress }: BatchItem) -> Self {
        let (state, reason, operation_id) = match progress {
            BatchProgress::Waiting => ("waiting", None, None),
            BatchProgress::Untouched(why) => ("refused", Some(why.as_str()), None),
            BatchProgress::Asked(operation) => (operation.state.as_str(), None, Some(operation.id)),
        };
        Self { server_id: server, name, state, reason, operation_id }
    }
}

impl From<Batch> for ActionsDto {
    fn from(batch: Batch) -> Self {
        Self {
            id: batch.id,
            finished: batch.is_over(),
            label: batch.label.to_string(),
            action: batch.action.map(PowerAction::as_str),
            at_most: batch.pace.at_most,
            stagger: batch.pace.stagger.map(|stagger| stagger.to_string()),
            created_at: batch.created_at,
            servers: batch.items.into_iter().map(ItemDto::from).collect(),
        }
    }
}

/// A line in the list of actions on many servers.
#[derive(Serialize, ToSchema)]
#[schema(as = ActionsSummary, examples(json!({
    "id": 3, "label": "friday", "action": "restart", "at_most": 3, "stagger": "2m", "finished": false, "servers": 12, "left": 4,
    "created_at": "2026-11-29T20:00:00Z"
})))]
pub(crate) struct SummaryDto {
    #[schema(value_type = i32, minimum = 1)]
    id: BatchId,
    label: String,
    /// Null if a later version of AGIS was asked for it, which alone knows it.
    #[schema(value_type = Option<words::ScheduleAction>)]
    action: Option<&'static str>,
    #[schema(minimum = 1)]
    at_most: Option<u32>,
    stagger: Option<String>,
    /// Whether every server is done with.
    finished: bool,
    /// The number of its servers.
    servers: u32,
    /// The number of servers that are not done with.
    left: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<BatchSummary> for SummaryDto {
    fn from(batch: BatchSummary) -> Self {
        Self {
            id: batch.id,
            label: batch.label.to_string(),
            action: batch.action.map(PowerAction::as_str),
            at_most: batch.pace.at_most,
            stagger: batch.pace.stagger.map(|stagger| stagger.to_string()),
            finished: batch.left == 0,
            servers: batch.servers,
            left: batch.left,
            created_at: batch.created_at,
        }
    }
}

list_query! {
    ActionsQuery {
        /// True: actions whose servers are all done with. False: actions that go on.
        #[param(value_type = Option<bool>)]
        finished,
    }
}

impl ActOnMany {
    fn read(&self) -> Result<(Label, PowerAction, Pace), Problem> {
        let label = self.label.parse::<Label>().map_err(|error| Problem::invalid_value("label", error))?;
        let action = PowerAction::from_word(&self.action)
            .ok_or_else(|| Problem::invalid_value("action", "is one of: start, stop, restart"))?;
        Ok((label, action, pace(self.at_most.as_ref(), self.stagger.as_deref())?))
    }
}

/// Reads a pace of a body.
pub(crate) fn pace(at_most: Option<&Number<i64>>, stagger: Option<&str>) -> Result<Pace, Problem> {
    // The rule names the range.
    let at_most = at_most.map(|Number(number)| u32::try_from(*number).unwrap_or_default());
    let stagger = stagger.map(|text| text.parse::<Span>()).transpose();
    let stagger = stagger.map_err(|error| Problem::invalid_value("stagger", error))?;
    let pace = Pace { at_most, stagger };
    pace.check().map_err(|(field, rule)| Problem::invalid_value(field, rule))?;
    Ok(pace)
}

/// Act on many servers
///
/// Starts, stops or restarts every server with a label: your own, and those that others share with you. Each gets an
/// operation of its own. Servers on which you may not do this are left alone, and the answer says why. A restart leaves
/// servers alone that are stopped, and somebody who stops, deletes or holds a server before its turn takes it out. Servers
/// whose turn has not come within a day are left alone. For every ten servers, or a part of ten, the request counts as one of
/// your key's requests per hour. You may have ten actions at a time whose operations have not all ended.
#[utoipa::path(
    post, path = "/api/v1/servers/actions", operation_id = "actOnServers", tag = "servers", request_body = ActOnMany,
    responses((status = 202, description = "The action to follow.", body = ActionsDto)),
)]
pub(crate) async fn begin(
    caller: May<WriteServers, Somewhere>,
    services: Data<Services>,
    asking: Asking,
    http: HttpRequest,
    body: Body<ActOnMany>,
) -> Result<HttpResponse, Problem> {
    let (label, action, pace) = body.0.read()?;
    let (origin, actor, trace) = (Origin::Rest, caller.user().clone(), current::trace());
    let new = NewBatch { label, action, pace, origin, actor, channel: None, trace };
    let batch = match services.servers.begun_batch(asking.once()).await? {
        Some(begun) => begun,
        None => {
            let planned = services.servers.plan_batch(caller.reach(), new).await?;
            charge(&caller, &services, &http, planned.servers().div_ceil(SERVERS_PER_TOKEN)).await?;
            services.servers.begin_batch(planned, asking.once()).await?
        }
    };
    Ok(HttpResponse::Accepted()
        .insert_header(("Location", format!("/api/v1/servers/actions/{}", batch.id)))
        .json(ActionsDto::from(batch)))
}

/// List your actions on many servers
///
/// Newest first. A key for some servers sees the actions on those. Kept for 30 days.
#[utoipa::path(
    get, path = "/api/v1/servers/actions", operation_id = "listActions", tag = "servers", params(ActionsQuery),
    responses((status = 200, description = "One page of the list.", body = List<SummaryDto>)),
)]
pub(crate) async fn list(
    caller: May<ReadServers, Somewhere>,
    services: Data<Services>,
    query: Query<ActionsQuery>,
) -> Result<Json<List<SummaryDto>>, Problem> {
    let (before, limit) = query.piece()?;
    let wanted = BatchesQuery {
        user: caller.user().clone(),
        reach: caller.reach().clone(),
        finished: yes_or_no("finished", query.finished.as_ref())?,
        before,
        limit,
    };
    let batches = services.servers.batches(&wanted).await?;
    let batches = batches.into_iter().map(SummaryDto::from).collect();
    Ok(Json(List::new(batches, limit, |batch: &SummaryDto| batch.id)))
}

/// Get an action on many servers
///
/// A line for each server. A key for some servers sees only those. Kept for 30 days.
#[utoipa::path(
    get, path = "/api/v1/servers/actions/{id}", operation_id = "getActions", tag = "servers",
    responses((status = 200, description = "The action as it is now.", body = ActionsDto)),
)]
pub(crate) async fn get(
    caller: May<ReadServers, Somewhere>,
    services: Data<Services>,
    Id(id): Id<BatchId>,
) -> Result<Json<ActionsDto>, Problem> {
    Ok(Json(services.servers.batch(caller.user(), caller.reach(), id).await?.into()))
}

/// Cancel an action on many servers
///
/// Servers that wait for their turn are left alone. Operations that were accepted go on.
#[utoipa::path(
    delete, path = "/api/v1/servers/actions/{id}", operation_id = "cancelActions", tag = "servers",
    responses((status = 200, description = "The action as it is now.", body = ActionsDto)),
)]
pub(crate) async fn cancel(
    caller: May<WriteServers, Somewhere>,
    services: Data<Services>,
    Id(id): Id<BatchId>,
) -> Result<Json<ActionsDto>, Problem> {
    Ok(Json(services.servers.cancel_batch(caller.user(), caller.reach(), id).await?.into()))
}
