//! `/servers/{id}/logs` and `/servers/{id}/command`

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, HeaderMap},
    web::{Data, Path, Query},
};
use agis_base::{ServerId, Timestamp};
use agis_servers::console::{Begin, Line, Piece, Position};
use chrono::DateTime;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Here, May, ReadServers, WriteServers},
    body::Body,
    follow,
    problem::Problem,
    server::Services,
};

const LINES: u32 = 100;
const LINES_MAX: u32 = 1000;

// As text: what is wrong with a value is then said by its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogsQuery {
    tail: Option<String>,
    since: Option<String>,
    follow: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    command: String,
}

#[derive(Serialize)]
struct LineDto {
    at: Timestamp,
    text: String,
    cursor: String,
}

#[derive(Serialize)]
struct LogsDto {
    items: Vec<LineDto>,
    /// None where there is nothing more yet; behind the last line's `cursor` there will be.
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
    fn begin(&self, headers: &HeaderMap) -> Result<Begin, Problem> {
        let (tail, since) = (number("tail", &self.tail, 0)?, self.since()?);
        let last_event = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned());
        if let Some(position) = last_event.filter(|_| self.follow == Some("true".to_owned())).or(self.cursor.clone()) {
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

pub(crate) async fn logs(
    caller: May<ReadServers, Here>,
    services: Data<Services>,
    id: Path<ServerId>,
    query: Query<LogsQuery>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (begin, limit, follows) = (query.begin(http.headers())?, query.limit()?, query.follows()?);
    let console = services.servers.console(caller.user(), *id).await?;
    if follows {
        return follow::begin(&caller, &services, *id, console, &begin).await;
    }
    let piece = console.lines(&begin, limit).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(LogsDto::from(piece)))
}

/// 204: the line is on its way to the game and there is nothing to say of it. A 202 here comes with an operation to
/// follow; of a command nobody learns whether the game did anything, except from its console.
pub(crate) async fn command(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    id: Path<ServerId>,
    body: Body<Command>,
) -> Result<HttpResponse, Problem> {
    services.servers.tell(caller.user(), *id, &body.0.command).await?;
    Ok(HttpResponse::NoContent().finish())
}
