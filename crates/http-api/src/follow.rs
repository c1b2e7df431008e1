//! Streams a console as server-sent events (HTML standard, section 9.2), as long as the client listens and its key is
//! valid.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    web::Bytes,
};
use agis_apikeys::Permission;
use agis_base::{KeyId, ServerId, UserId};
use agis_servers::{
    ServersError,
    console::{Begin, Piece, Position, ServerConsole},
};
use chrono::Utc;
use futures_util::stream::poll_fn;
use serde_json::json;
use tokio::{
    sync::mpsc::{self, Sender},
    time::{Instant, sleep, timeout},
};

use crate::{auth::Caller, followers::Seat, problem::Problem, services::Services};

/// Lines in one chunk of the stream. One more chunk waits in the connection.
const LINES: u32 = 100;
/// A silent stream sends a comment this often, so that no proxy takes it for dead. AGIS needs two writes to notice that
/// a client has gone, and keeps its seat until then.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Interval between two checks of the follower's permission.
const AUTHORITY: Duration = Duration::from_secs(5);
/// A client that reads nothing for so long counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest stream. The client then reconnects with `Last-Event-ID`, and its address and scopes are checked like those
/// of every caller.
const LONGEST: Duration = Duration::from_secs(300);

/// Answers with a stream that begins at `begin`.
pub(crate) async fn begin(
    caller: &Caller,
    services: &Services,
    server: ServerId,
    console: ServerConsole,
    begin: &Begin,
) -> Result<HttpResponse, Problem> {
    let seat = services.followers.take(caller.user())?;
    let first = console.lines(begin, LINES).await?;
    let follower = Follower {
        user: caller.user().clone(),
        key: caller.key_id(),
        server,
        services: services.clone(),
        console,
        seat,
    };
    // The channel holds a single chunk, so a slow reader delays the follower and no memory fills.
    let (sender, mut pieces) = mpsc::channel(1);
    tokio::spawn(follower.run(first, sender));
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(poll_fn(move |context| pieces.poll_recv(context).map(|piece| piece.map(Ok::<_, Infallible>)))))
}

struct Follower {
    user: UserId,
    key: Option<KeyId>,
    server: ServerId,
    services: Services,
    console: ServerConsole,
    seat: Seat,
}

impl Follower {
    async fn run(self, first: Piece, sender: Sender<Bytes>) {
        tokio::select! {
            () = self.follow(first, &sender) => {}
            () = self.until_not_allowed() => {}
            () = self.seat.until_shutdown() => {}
            () = sender.closed() => {}
            () = sleep(LONGEST) => {}
        }
    }

    /// Sends lines until the client stops reading, or the host fails; the client then reconnects and is told why.
    async fn follow(&self, first: Piece, sender: &Sender<Bytes>) {
        let (mut piece, mut text) = (first, "retry: 1000\n\n".to_owned());
        let mut spoke = Instant::now();
        loop {
            text += &events(&piece);
            if piece.lines.is_empty() && text.starts_with("retry") {
                // A client that is cut off before its first line continues from here.
                text += &format!("id: {}\n\n", piece.end);
            }
            if text.is_empty() && spoke.elapsed() >= HEARTBEAT {
                text = ": still here\n\n".to_owned();
            }
            if !text.is_empty() {
                let sent = timeout(PATIENCE, sender.send(std::mem::take(&mut text).into())).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
                spoke = Instant::now();
            }
            if !piece.more {
                sleep(self.console.pace()).await;
            }
            let Ok(next) = self.console.lines(&Begin::Behind(piece.end), LINES).await else { return };
            piece = next;
        }
    }

    async fn until_not_allowed(&self) {
        loop {
            sleep(AUTHORITY).await;
            if !(self.has_the_key().await && self.has_the_server().await) {
                return;
            }
        }
    }

    /// Tells whether the user may still read the console. An outage of the database revokes nothing.
    async fn has_the_server(&self) -> bool {
        let console = self.services.servers.console(&self.user, self.server).await;
        matches!(console, Ok(_) | Err(ServersError::Store(_)))
    }

    async fn has_the_key(&self) -> bool {
        let Some(id) = self.key else { return true };
        match self.services.keys.get(&self.user, id).await {
            Ok(key) => {
                let reaches =
                    key.grant.scopes.reach(Permission::ReadServers).is_some_and(|reach| reach.covers(self.server));
                reaches && key.grant.expires_at.is_none_or(|end| end > Utc::now())
            }
            Err(agis_apikeys::KeysError::Store(_)) => true,
            Err(_) => false,
        }
    }
}

/// Writes the lines as events, each with its position as id. JSON escapes line ends, so no line can end an event.
fn events(piece: &Piece) -> String {
    let mut text = String::new();
    if piece.lost {
        text += "event: gap\ndata: {\"detail\":\"lines were lost: they are no longer kept\"}\n\n";
    }
    for line in &piece.lines {
        text += &event(&line.position, &json!({ "at": line.at, "text": line.text }));
    }
    text
}

/// Formats an event. No library does: `actix_web_lab::sse` has no event that is only an id, with which a stream begins,
/// and this line is all that remains.
fn event(position: &Position, data: &serde_json::Value) -> String {
    format!("id: {position}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use agis_servers::console::Line;

    #[test]
    fn game_output_cannot_forge_an_event() {
        let line = |text: &str| Line { at: Default::default(), text: text.to_owned(), position: Position::new("1-2") };
        let lines = vec![line("a\r\n\nevent: x\u{2028}"), line("")];
        let piece = Piece { lines, end: Position::new("1-2"), more: false, lost: true };
        let text = events(&piece);
        assert_eq!(text.matches("\n\n").count(), 3, "{text}");
        assert!(!text.contains('\r') && text.matches("event:").count() == 2 && text.contains("\\r\\n"), "{text}");
    }
}
