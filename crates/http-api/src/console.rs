//! `/servers/{id}/logs`, `/servers/{id}/command` and `/servers/{id}/commands`

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::CACHE_CONTROL,
    web::{Data, Json, Query},
};
use agis_base::{CommandId, ServerId, Timestamp, UserId};
use agis_servers::{
    Origin, ServersError,
    console::{Begin, CommandRecord, Line, Piece, Position, WantsAnswer},
    store::Page,
};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{Here, May, ReadServers, WriteServers},
    body::Body,
    follow,
    idempotency::Asking,
    page::{List, list_query},
    problem::{Code, Problem},
    services::Services,
    words,
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

/// A command for the game.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Command, examples(json!({ "command": "say hi" })))]
pub(crate) struct ServerCommand {
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    command: String,
    /// Whether to wait for the answer of the game.
    #[serde(default)]
    #[schema(default = false)]
    reply: bool,
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

/// Send a command to the game
///
/// The console shows whether the game reacts. With `reply` the answer of the game comes back, from games with RCON
/// (`rcon` of `GET /games`); one that does not come within 5 seconds is null, and the game may have acted all the same.
/// Under one `Idempotency-Key` a command is sent at most once: a retry that cannot know whether an earlier attempt sent it
/// answers 409 `outcome_unknown`.
#[utoipa::path(
    post, path = "/api/v1/servers/{id}/command", operation_id = "sendServerCommand", tag = "servers",
    request_body = ServerCommand,
    responses(
        (status = 200, description = "The answer of the game, where `reply` is true.", body = ReplyDto),
        (status = 204, description = "The line is on its way to the game."),
    ),
)]
// 204 instead of 202: a 202 comes with an operation to follow, but nobody learns whether the game reacted, except from
// its console.
pub(crate) async fn command(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    asking: Asking,
    body: Body<ServerCommand>,
) -> Result<HttpResponse, Problem> {
    let ServerCommand { command, reply } = body.0;
    let wants = if reply { WantsAnswer::Yes } else { WantsAnswer::No };
    let servers = &services.servers;
    let command = servers.command(caller.user(), caller.server(), Origin::Rest, &command, wants).await?;
    // The game does not keep a key, so the intent to send must be stored first.
    asking.venture(&services.idempotency, caller.server().0).await?;
    match command.send().await {
        Ok(answer) if reply => Ok(HttpResponse::Ok().json(ReplyDto { id: answer.command, reply: answer.sent.reply() })),
        Ok(_) => Ok(HttpResponse::NoContent().finish()),
        Err(error) => {
            if error.is_refusal() {
                asking.withdraw(&services.idempotency).await;
            }
            Err(ServersError::from(error).into())
        }
    }
}

/// The answer of a game to a command.
#[derive(Serialize, ToSchema)]
#[schema(as = CommandReply, examples(json!({
    "id": "0199d3a0-4b5c-7def-8123-456789abcdef", "reply": "There are 2 of a max of 20 players online: Ann, Ben"
})))]
pub(crate) struct ReplyDto {
    /// The id of the command.
    #[schema(value_type = String, format = "uuid")]
    id: CommandId,
    /// The text of the game. Null where it gave none in time.
    reply: Option<String>,
}

/// A command that somebody sent to a game.
#[derive(Serialize, ToSchema)]
#[schema(as = CommandRecord, examples(json!({
    "id": "0199d3a0-4b5c-7def-8123-456789abcdef", "server_id": 7, "actor": "123456789012345678", "origin": "rest",
    "command": "list", "outcome": "answered", "reply": "There are 2 of a max of 20 players online: Ann, Ben",
    "error": null, "created_at": "2026-11-22T19:00:00Z", "finished_at": "2026-11-22T19:00:00.1Z"
})))]
pub(crate) struct CommandDto {
    #[schema(value_type = String, format = "uuid")]
    id: CommandId,
    #[schema(value_type = i32, minimum = 1)]
    server_id: ServerId,
    /// The Discord id of the user who sent it.
    #[schema(value_type = String)]
    actor: UserId,
    #[schema(value_type = words::OperationOrigin)]
    origin: &'static str,
    command: String,
    #[schema(value_type = words::CommandOutcome)]
    outcome: &'static str,
    /// The first 4,000 characters of the answer. Null where there is none.
    reply: Option<String>,
    /// Why it was refused, or has no answer.
    error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Null before the outcome.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

impl From<CommandRecord> for CommandDto {
    fn from(record: CommandRecord) -> Self {
        let CommandRecord { command, outcome, reply, error, created_at, finished_at } = record;
        Self {
            id: command.id,
            server_id: command.server,
            actor: command.actor,
            origin: command.origin.as_str(),
            command: command.line,
            outcome: outcome.as_str(),
            reply,
            error,
            created_at,
            finished_at,
        }
    }
}

list_query! {
    CommandsQuery {}
}

/// List the commands that were sent to a server
///
/// Newest first. Commands are deleted after 30 days. Only the owner of the server may read them.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/commands", operation_id = "listServerCommands", tag = "servers",
    params(CommandsQuery),
    responses((status = 200, description = "One page of the list.", body = List<CommandDto>)),
)]
pub(crate) async fn commands(
    caller: May<ReadServers, Here>,
    services: Data<Services>,
    query: Query<CommandsQuery>,
) -> Result<Json<List<CommandDto>>, Problem> {
    let (after, limit) = query.piece()?;
    let commands = services.servers.commands(caller.user(), caller.server(), Page { after, limit }).await?;
    let commands = commands.into_iter().map(CommandDto::from).collect();
    Ok(Json(List::new(commands, limit, |command: &CommandDto| command.id)))
}
