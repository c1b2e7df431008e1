//! `/servers/{id}/logs` and `/servers/{id}/command`

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::CACHE_CONTROL,
    web::{Data, Query},
};
use agis_base::Timestamp;
use agis_servers::console::{Begin, Line, Piece, Position};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{Here, May, ReadServers, WriteServers},
    body::Body,
    follow,
    idempotency::Asking,
    problem::{Code, Problem},
    services::Services,
};

const LINES: u32 = 100;
const LINES_MAX: u32 = 1000;

// Text, so that an error names the parameter.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogsQuery {
    /// Begin with this many of the last lines.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 1000)]
    tail: Option<String>,
    /// Begin with the first line at or after this moment.
    #[param(format = DateTime, example = "2026-11-22T19:00:00Z")]
    since: Option<String>,
    /// Send new lines as they come, as server-sent events.
    #[param(value_type = Option<bool>, default = false)]
    follow: Option<String>,
    /// The most lines to return.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// Begin after the line, or the page, with this cursor. Overrides `tail` and `since`.
    #[param(pattern = "^[A-Za-z0-9-]+$")]
    cursor: Option<String>,
}

/// A line to type into the console.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Command, examples(json!({ "command": "say hi" })))]
pub(crate) struct ServerCommand {
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    command: String,
}

/// A line of a console.
#[derive(Serialize, ToSchema)]
#[schema(as = Line, examples(json!({
    "at": "2026-11-22T19:00:00.123Z", "text": "ready for players", "cursor": "1-2"
})))]
struct LineDto {
    /// The moment at which AGIS read the line.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    text: String,
    /// Send this as `cursor` to continue after the line.
    cursor: String,
}

/// Lines of a console.
#[derive(Serialize, ToSchema)]
#[schema(as = Lines)]
pub(crate) struct LogsDto {
    items: Vec<LineDto>,
    /// Send this as `cursor` for the next lines. Null where there are none yet; then use the `cursor` of the last line
    /// later.
    next_cursor: Option<String>,
    /// Whether lines between the cursor and these are no longer kept.
    gap: bool,
}

impl From<Line> for LineDto {
    fn from(line: Line) -> Self {
        Self { at: line.at, text: line.text, cursor: line.position.to_string() }
    }
}

impl From<Piece> for LogsDto {
    fn from(piece: Piece) -> Self {
        Self {
            next_cursor: piece.more.then(|| piece.end.to_string()),
            gap: piece.lost,
            items: piece.lines.into_iter().map(LineDto::from).collect(),
        }
    }
}

impl LogsQuery {
    /// Returns the place to begin at. A position overrides `tail` and `since`, so a client that continues need not
    /// change the rest of the URL.
    fn begin(&self, last_event: Option<String>) -> Result<Begin, Problem> {
        let (tail, since) = (number("tail", &self.tail, 0)?, self.since()?);
        if let Some(position) = last_event.or(self.cursor.clone()) {
            return Ok(Begin::Behind(Position::new(position)));
        }
        let tail = tail.or(since.is_none().then_some(LINES));
        Ok(Begin::Recent { tail, since })
    }

    fn since(&self) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = &self.since else { return Ok(None) };
        let rule = "since: is an RFC 3339 date and time such as 2026-01-31T12:00:00Z; a '+' is written %2B";
        let moment = DateTime::parse_from_rfc3339(text).map_err(|_| Problem::invalid_query(rule))?;
        Ok(Some(moment.to_utc()))
    }

    fn follows(&self) -> Result<bool, Problem> {
        match self.follow.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid_query("follow: is true or false")),
        }
    }

    fn limit(&self) -> Result<u32, Problem> {
        let tail = number("tail", &self.tail, 0)?.filter(|tail| *tail > 0);
        Ok(number("limit", &self.limit, 1)?.or(tail).unwrap_or(LINES))
    }
}

fn number(name: &str, text: &Option<String>, least: u32) -> Result<Option<u32>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (least..=LINES_MAX).contains(number));
    number.map(Some).ok_or_else(|| Problem::invalid_query(format!("{name}: is {least} to {LINES_MAX}")))
}

/// An event of a followed console, as a client's parser returns it (server-sent events, HTML Living Standard, section
/// 9.2).
#[derive(ToSchema)]
#[expect(dead_code, reason = "it stands in the contract; `follow` writes the text itself")]
struct ConsoleEvent {
    /// The position of the line. Send it as `Last-Event-ID` to continue there.
    #[schema(nullable = false)]
    id: Option<String>,
    /// `gap` where lines were lost; absent for a line.
    #[schema(nullable = false)]
    event: Option<String>,
    /// JSON: `at` and `text` of a line, `detail` of a gap.
    data: String,
}

/// Read the console
///
/// Returns the last lines, or those after a cursor. With `follow=true` the answer is a stream of server-sent events,
/// one per line: its data is JSON with `at` and `text`, its id the cursor of the line. An event `gap` marks lost lines.
/// After an interruption, continue with `Last-Event-ID`.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/logs", operation_id = "getServerLogs", tag = "servers",
    params(LogsQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client received.")),
    responses((status = 200, description = "The lines.", content(
        (LogsDto = "application/json"), (ConsoleEvent = "text/event-stream", example = "id: 1-2\ndata: {\"at\":\"2026-11-22T19:00:00.123Z\",\"text\":\"ready for players\"}\n\n"),
    ))),
)]
pub(crate) async fn logs(
    caller: May<ReadServers, Here>,
    services: Data<Services>,
    query: Query<LogsQuery>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let follows = query.follows()?;
    let last_event = http.headers().get("last-event-id").filter(|_| follows);
    let last_event = last_event.map(|id| id.to_str().unwrap_or_default().to_owned());
    let (begin, limit) = (query.begin(last_event.clone())?, query.limit()?);
    let console = services.servers.console(caller.user(), caller.server()).await?;
    if follows {
        let stream = follow::begin(&caller, &services, caller.server(), console, &begin).await;
        return stream.map_err(|problem| match (problem.code(), last_event) {
            (Code::InvalidCursor, Some(_)) => invalid_last_event(),
            _ => problem,
        });
    }
    let piece = console.lines(&begin, limit).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(LogsDto::from(piece)))
}

/// Says that `Last-Event-ID`, which is read in place of a cursor, is invalid.
fn invalid_last_event() -> Problem {
    Problem::new(Code::InvalidCursor, "Last-Event-ID: is the id of an event that was sent from this console, unchanged")
}

/// Type a line into the console
///
/// The console shows whether the game reacts. Under one `Idempotency-Key` the line is typed at most once: a retry that
/// cannot know whether an earlier attempt typed it answers 409 `outcome_unknown`.
#[utoipa::path(
    post, path = "/api/v1/servers/{id}/command", operation_id = "sendServerCommand", tag = "servers",
    request_body = ServerCommand,
    responses((status = 204, description = "The line is on its way to the game.")),
)]
// 204 instead of 202: a 202 comes with an operation to follow, but nobody learns whether the game reacted, except from
// its console.
pub(crate) async fn command(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    asking: Asking,
    body: Body<ServerCommand>,
) -> Result<HttpResponse, Problem> {
    let command = services.servers.command(caller.user(), caller.server(), &body.0.command).await?;
    // No database keeps a typed line, so the intent to type it must be stored first.
    asking.venture(&services.idempotency, caller.server().0).await?;
    if let Err(error) = command.send().await {
        if error.is_refusal() {
            asking.withdraw(&services.idempotency).await;
        }
        return Err(error.into());
    }
    Ok(HttpResponse::NoContent().finish())
}
