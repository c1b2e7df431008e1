//! A console as server-sent events (HTML standard, section 9.2), for as long as somebody listens who may.

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

/// The most lines of an event stream that are under way at once, beside the same again in the connection.
const LINES: u32 = 100;
/// A silent stream says something after so long, so that nobody in between takes it for dead. It takes two writes to
/// learn that a client has gone, and its place is held until then.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often it is asked whether the follower still may.
const AUTHORITY: Duration = Duration::from_secs(5);
/// Whoever takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Then the client comes again, with `Last-Event-ID`, and is looked at as every caller is: its address, its scopes.
const LONGEST: Duration = Duration::from_secs(300);

/// Answers with a stream that begins there.
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
    // One piece waits while another is being sent: a slow reader holds the follower up, and nothing gathers.
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

    /// Until the client takes nothing any more, or the host has nothing to give; it comes again and is told why.
    async fn follow(&self, first: Piece, sender: &Sender<Bytes>) {
        let (mut piece, mut text) = (first, "retry: 1000\n\n".to_owned());
        let mut spoke = Instant::now();
        loop {
            text += &events(&piece);
            if piece.lines.is_empty() && text.starts_with("retry") {
                // Who is cut off before the first line comes goes on from here.
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

    /// An outage of the database takes nobody's right away.
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

/// A line is an event with its position as id; what is in it is JSON, so it has no line ends of its own.
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
