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

// As text: what is wrong with a value is then said by its name.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogsQuery {
    /// Begin at the oldest of so many of the last lines.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 1000)]
    tail: Option<String>,
    /// Begin with the lines from this moment on.
    #[param(format = DateTime, example = "2026-11-22T19:00:00Z")]
    since: Option<String>,
    /// Go on with the lines as they come, as server-sent events.
    #[param(value_type = Option<bool>, default = false)]
    follow: Option<String>,
    /// How many lines.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// Begin behind this line, or this piece. Goes before `tail` and `since`.
    #[param(pattern = "^[A-Za-z0-9-]+$")]
    cursor: Option<String>,
}

/// A line to type into the console.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Command, examples(json!({ "command": "say hi" })))]
pub(crate) struct Command {
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    command: String,
}

/// A line of a console.
#[derive(Serialize, ToSchema)]
#[schema(as = Line, examples(json!({
    "at": "2026-11-22T19:00:00.123Z", "text": "ready for players", "cursor": "1-2"
})))]
struct LineDto {
    /// When it was read.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    text: String,
    /// To be sent as `cursor` for what comes behind it.
    cursor: String,
}

/// Lines of a console.
#[derive(Serialize, ToSchema)]
#[schema(as = Lines)]
pub(crate) struct LogsDto {
    items: Vec<LineDto>,
    /// Null where there is nothing more yet; behind the last line's `cursor` there will be.
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
    /// Where to begin. A position goes before `tail` and `since`: whoever goes on need not change the rest of the URL.
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
        let rule = "since: is a moment as RFC 3339 says it, such as 2026-01-31T12:00:00Z; a '+' is written %2B";
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

/// An event of a console that is followed (server-sent events, HTML Living Standard, section 9.2), as a client's parser
/// hands it over.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it stands in the contract; `follow` writes the text itself")]
struct ConsoleEvent {
    /// Where the line stands; sent back as `Last-Event-ID` it is where to go on.
    #[schema(nullable = false)]
    id: Option<String>,
    /// `gap` where lines were lost; absent with a line.
    #[schema(nullable = false)]
    event: Option<String>,
    /// JSON: `at` and `text` of a line, `detail` of a gap.
    data: String,
}

/// Read the console
///
/// The last lines, or those behind a cursor; with `follow=true` as server-sent events: one for each line (its data is
/// JSON with `at` and `text`, its id the line's cursor), and `gap` where lines were lost. Who is cut off comes again with `Last-Event-ID`.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/logs", operation_id = "getServerLogs", tag = "servers",
    params(LogsQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen.")),
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

/// The header was read in place of a cursor.
fn invalid_last_event() -> Problem {
    Problem::new(Code::InvalidCursor, "Last-Event-ID: is the id of an event that was sent from this console, unchanged")
}

/// Type a line into the console
///
/// Whether the game does anything with it shows in the console. Under one `Idempotency-Key` it is typed at most once: a retry
/// that cannot know whether an earlier attempt typed it is 409 `outcome_unknown`.
#[utoipa::path(
    post, path = "/api/v1/servers/{id}/command", operation_id = "sendServerCommand", tag = "servers",
    request_body = Command,
    responses((status = 204, description = "It is on its way to the game.")),
)]
// 204: the line is on its way to the game and there is nothing to say of it. A 202 here comes with an operation to
// follow; of a command nobody learns whether the game did anything, except from its console.
pub(crate) async fn command(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    asking: Asking,
    body: Body<Command>,
) -> Result<HttpResponse, Problem> {
    let command = services.servers.command(caller.user(), caller.server(), &body.0.command).await?;
    // A line that was typed is in no database, so that it is about to be typed has to be.
    asking.venture(&services.idempotency, caller.server().0).await?;
    if let Err(error) = command.send().await {
        if error.is_refusal() {
            asking.withdraw(&services.idempotency).await;
        }
        return Err(error.into());
    }
    Ok(HttpResponse::NoContent().finish())
}
