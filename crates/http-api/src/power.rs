//! Power of servers: start, stop, restart and delete.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use agis_base::{InvalidSpan, ServerId, Span};
use agis_scheduler::{
    Action as Announced, NewSchedule,
    work::{InvalidWork, Warning},
};
use agis_servers::{Action, Origin, Permission, Request, operation::Identity};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    auth::{Caller, Here, May, WriteSchedules, WriteServers},
    body::BodyOrDefault,
    current,
    idempotency::{self, Asking},
    operations::OperationDto,
    problem::Problem,
    schedules::{ScheduleDto, made},
    services::Services,
};

macro_rules! actions {
    ($($(#[$doc:meta])+ $method:ident $path:literal $operation:literal $handler:ident: $action:ident)+) => {
        $($(#[$doc])+
        #[utoipa::path(
            $method, path = $path, operation_id = $operation, tag = "servers",
            responses((status = 202, description = "The operation to follow.", body = OperationDto)),
        )]
        pub(crate) async fn $handler(
            caller: May<WriteServers, Here>,
            services: Data<Services>,
            http: HttpRequest,
        ) -> Result<HttpResponse, Problem> {
            act(&caller, &services, &http, caller.server(), Action::$action).await
        })+
    };
}
actions! {
    /// Start a server
    ///
    /// A running server keeps running.
    post "/api/v1/servers/{id}/start" "startServer" start: Start

    /// Wake a server
    ///
    /// Starts a server that sleeps since nobody played, or that is stopped for another reason. A running server keeps running.
    /// Needs the permission `start`.
    post "/api/v1/servers/{id}/wake" "wakeServer" wake: Start

    /// Delete a server
    ///
    /// Stops the server first, and disables its schedules. Its world is kept for seven days.
    delete "/api/v1/servers/{id}" "deleteServer" delete: Delete
}

macro_rules! announced {
    ($($(#[$doc:meta])+ $path:literal $operation:literal $handler:ident: $action:ident)+) => {
        $($(#[$doc])+
        #[utoipa::path(
            post, path = $path, operation_id = $operation, tag = "servers", request_body = Ahead,
            responses(
                (status = 201, description = "With `warn`: the schedule that does it once.", body = ScheduleDto),
                (status = 202, description = "The operation to follow.", body = OperationDto),
            ),
        )]
        pub(crate) async fn $handler(
            caller: May<WriteServers, Here>,
            services: Data<Services>,
            http: HttpRequest,
            asking: Asking,
            body: BodyOrDefault<Ahead>,
        ) -> Result<HttpResponse, Problem> {
            match body.0.warning()? {
                None => act(&caller, &services, &http, caller.server(), Action::$action).await,
                Some(warning) => {
                    let actions = (Action::$action, Announced::$action);
                    announce(&caller, &services, &asking, actions, warning).await
                },
            }
        })+
    };
}
announced! {
    /// Stop a server
    ///
    /// The game gets time to save its world. A start in progress is cancelled. With `warn`, players are told ahead: a schedule
    /// of one run begins now, whose run can be followed, postponed and cancelled; it needs the scope `write:schedules` too.
    "/api/v1/servers/{id}/stop" "stopServer" stop: Stop

    /// Restart a server
    ///
    /// A stopped server is started. With `warn`, players are told ahead: a schedule of one run begins now, whose run can be
    /// followed, postponed and cancelled; it needs the scope `write:schedules` too.
    "/api/v1/servers/{id}/restart" "restartServer" restart: Restart
}

/// Announcements ahead of a stop or a restart.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Announcement, examples(json!({ "warn": ["15m", "5m", "1m"], "text": "Restart in {minutes} minutes" })))]
pub(crate) struct Ahead {
    /// The times ahead at which players are told, the longest first.
    #[schema(min_items = 1, max_items = 10)]
    warn: Option<Vec<String>>,
    /// The announcement, with `{minutes}` or `{time}` for what is left.
    #[schema(min_length = 1, max_length = 200)]
    text: Option<String>,
}

impl Ahead {
    fn warning(self) -> Result<Option<Warning>, Problem> {
        let Some(warn) = self.warn else {
            return match self.text {
                Some(_) => Err(Problem::invalid_value("text", "needs `warn`: the times at which players read it")),
                None => Ok(None),
            };
        };
        let ahead: Result<Vec<Span>, InvalidSpan> = warn.iter().map(|time| time.parse()).collect();
        let ahead = ahead.map_err(|error| Problem::invalid_value("warn", error.to_string()))?;
        Ok(Some(Warning { ahead, text: self.text }))
    }
}

/// Makes the schedule that warns, and acts once.
async fn announce(
    caller: &May<WriteServers, Here>,
    services: &Services,
    asking: &Asking,
    (action, announced): (Action, Announced),
    warning: Warning,
) -> Result<HttpResponse, Problem> {
    caller.needs::<WriteSchedules>(|reach| reach.covers(caller.server()))?;
    let server = services.servers.allowed(caller.user(), caller.server(), Permission::Schedule).await?;
    let now = services.schedules.now().await?;
    let new = NewSchedule::announced(server.id, caller.user().clone(), announced, warning, now);
    // The caller wrote no steps.
    new.work.check().map_err(|InvalidWork { field, rule }| {
        Problem::invalid_value(field.strip_prefix("steps[0].").unwrap_or(&field), rule)
    })?;
    services.servers.check_warned(caller.user(), server.id, action).await?;
    let schedule = services.schedules.create(new, asking.once()).await?;
    Ok(made(services, schedule).await)
}

/// Requests an operation for the caller, and answers 202 with the operation to follow.
pub(crate) async fn act(
    caller: &Caller,
    services: &Services,
    http: &HttpRequest,
    server: ServerId,
    action: Action,
) -> Result<HttpResponse, Problem> {
    let identity = idempotency::key(http, caller.user())?.map_or(Identity::None, |key| Identity::Key(key.to_string()));
    let actor = caller.user().clone();
    let trace = current::trace();
    let request = Request { server, action, origin: Origin::Rest, actor, channel: None, identity, trace };
    let operation = services.servers.request(request).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(("Location", format!("/api/v1/operations/{}", operation.id)))
        .json(OperationDto::from(operation)))
}
