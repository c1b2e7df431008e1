//! Console of a server, as the cluster keeps it: the lines of the game's container, each with the time at which it was
//! read. A pod's lines vanish with the pod.

use std::pin::pin;

use agis_base::Timestamp;
use agis_servers::console::{Begin, ConsoleError, Line, Piece, Position, Terminal};
use chrono::DateTime;
use futures_util::AsyncReadExt;
use k8s_openapi::jiff;
use kube::{ResourceExt, api::LogParams};
use tokio::sync::Semaphore;

use crate::{
    cluster::{Cluster, GONE, Trouble, ask},
    gameserver::GameServer,
    template,
};

/// Maximum size of a log that one request fetches, in bytes.
const BYTES: usize = 1 << 20;
/// Maximum size of a request if the smaller one brings nothing new, in bytes. A log starts at a whole second, and one
/// second may have more. A kubelet keeps 10 MiB of a log by default.
const BYTES_OF_A_SECOND: usize = 16 << 20;
/// Maximum number of requests at once, so many followers of busy servers do not fill the memory.
static LARGE: Semaphore = Semaphore::const_new(2);

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Place in a console: after this many lines of one time. Lines have their time to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Mark {
    nanos: i64,
    count: u32,
}

impl Mark {
    fn parse(position: &Position) -> Option<Self> {
        let (nanos, count) = position.as_str().split_once('-')?;
        Some(Self { nanos: nanos.parse().ok()?, count: count.parse().ok()? })
    }

    fn position(self) -> Position {
        Position::new(format!("{}-{}", self.nanos, self.count))
    }

    /// Moves the mark past the next line, which has this time.
    fn behind(self, nanos: i64) -> Self {
        let count = if nanos == self.nanos { self.count + 1 } else { 1 };
        Self { nanos, count }
    }
}

pub(crate) async fn lines(
    cluster: &Cluster,
    gameserver: Option<&GameServer>,
    begin: &Begin,
    limit: u32,
) -> Result<Piece, ConsoleError> {
    let from = match begin {
        Begin::Behind(position) => Mark::parse(position).ok_or(ConsoleError::Position)?,
        Begin::Recent { since, .. } => {
            let nanos = since.and_then(|since| since.timestamp_nanos_opt()).unwrap_or_default();
            Mark { nanos, count: 0 }
        }
    };
    let none = || Piece { lines: vec![], end: from.position(), more: false, lost: false };
    let Some(gameserver) = gameserver else { return Ok(none()) };
    let mut params = LogParams {
        container: container(gameserver),
        // The request has a resolution of one second. Earlier lines of that second are dropped below.
        since_time: jiff::Timestamp::from_second(from.nanos / SECOND).ok().filter(|_| from.nanos > 0),
        tail_lines: match begin {
            Begin::Recent { tail, .. } => tail.map(i64::from),
            Begin::Behind(_) => None,
        },
        timestamps: true,
        ..LogParams::default()
    };
    let fetched = async |bytes: usize, params: &mut LogParams| {
        params.limit_bytes = i64::try_from(bytes).ok();
        match ask(fetch(cluster, &gameserver.name_any(), params)).await {
            Ok(log) => Ok(piece(&log, from, limit, log.len() >= bytes)),
            // The pod is gone, or its container has not started.
            Err(Trouble::Refused { code: GONE | 400, .. }) => Ok(none()),
            Err(Trouble::Refused { why, .. } | Trouble::Busy(why) | Trouble::Unknown(why)) => {
                Err(ConsoleError::Unavailable(why))
            }
        }
    };
    let is_stuck = |piece: &Piece| piece.more && piece.lines.is_empty();
    let first = fetched(BYTES, &mut params).await?;
    if !is_stuck(&first) {
        return Ok(first);
    }
    let _permit = LARGE.acquire().await;
    let second = fetched(BYTES_OF_A_SECOND, &mut params).await?;
    if !is_stuck(&second) {
        return Ok(second);
    }
    Ok(passed(from))
}

/// The rest of this second cannot be fetched, so followers continue after it.
fn passed(from: Mark) -> Piece {
    let next = Mark { nanos: (from.nanos / SECOND + 1).saturating_mul(SECOND), count: 0 };
    Piece { lines: vec![], end: next.position(), more: true, lost: true }
}

/// Fetches a log as bytes, since a game may write any, and the log may be cut anywhere in a character.
async fn fetch(cluster: &Cluster, pod: &str, params: &LogParams) -> kube::Result<Vec<u8>> {
    let mut log = vec![];
    pin!(cluster.pods.log_stream(pod, params).await?).read_to_end(&mut log).await.map_err(kube::Error::ReadEvents)?;
    Ok(log)
}

fn container(gameserver: &GameServer) -> Option<String> {
    let mut spec = gameserver.spec.clone();
    template::container(&mut spec)?["name"].as_str().map(str::to_owned)
}

/// Returns the lines of a log after a mark, and whether there is more. If the log was cut, its last line may be
/// incomplete.
fn piece(log: &[u8], from: Mark, limit: u32, is_cut: bool) -> Piece {
    let mut whole: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    if is_cut && whole.len() > 1 {
        whole.pop();
    }
    let (mut mark, mut end, mut lines, mut more) = (Mark::default(), from, vec![], is_cut);
    let mut terminal = Terminal::default();
    for line in whole {
        let Some((at, text)) = stamped(line) else { continue };
        let Some(nanos) = at.timestamp_nanos_opt() else { continue };
        mark = mark.behind(nanos);
        if mark <= from {
            continue;
        }
        if lines.len() >= limit as usize {
            more = true;
            break;
        }
        end = mark;
        lines.push(Line { at, text: terminal.line(text), position: mark.position() });
    }
    Piece { lines, end: end.position(), more, lost: false }
}

/// Splits a line as the kubelet writes it: the time, a space, and the bytes of the game.
fn stamped(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (at, text) = line.split_at_checked(line.iter().position(|byte| *byte == b' ')?)?;
    Some((DateTime::parse_from_rfc3339(str::from_utf8(at).ok()?).ok()?.to_utc(), &text[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"2026-11-27T07:00:00.100000001Z one\n\
                       2026-11-27T07:00:00.100000001Z two\n\
                       2026-11-27T07:00:01Z \n\
                       not stamped\n\
                       2026-11-27T07:00:02.5Z three four\n";

    fn texts(piece: &Piece) -> Vec<&str> {
        piece.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn resumed_reader_gets_every_line_once() {
        let all = piece(LOG, Mark::default(), 100, false);
        assert_eq!((texts(&all), all.more), (vec!["one", "two", "", "three four"], false));
        for limit in 1..=4 {
            let (mut from, mut read) = (Mark::default(), vec![]);
            loop {
                let next = piece(LOG, from, limit, false);
                assert!(next.lines.len() <= limit as usize);
                read.extend(texts(&next).into_iter().map(str::to_owned));
                from = Mark::parse(&next.end).expect("a position");
                if !next.more {
                    break;
                }
            }
            assert_eq!(read, texts(&all), "{limit} at a time");
        }
        for line in &all.lines {
            assert_eq!(Mark::parse(&line.position).map(Mark::position), Some(line.position.clone()));
        }
        assert_eq!(Mark::parse(&Position::new("x")), None);
    }

    #[test]
    fn lines_are_read_as_a_terminal_shows_them() {
        let log = b"2026-11-27T07:00:00Z \x1b[32mready\x1b[0m\r\n\
                    2026-11-27T07:00:01Z 10%\r100%\n\
                    2026-11-27T07:00:02Z \x14\x040\x04\r\0\n\
                    2026-11-27T07:00:03Z \0caf\xe9\n";
        let all = piece(log, Mark::default(), 100, false);
        assert_eq!(texts(&all), ["ready", "100%", "Да", "caf\u{fffd}"]);
    }

    #[test]
    fn cut_line_is_left_for_the_next_piece() {
        let cut = piece(b"2026-11-27T07:00:00Z whole\n2026-11-27T07:00:01Z ha\xe2\x80", Mark::default(), 100, true);
        assert_eq!((texts(&cut), cut.more), (vec!["whole"], true));
    }

    #[test]
    fn unreadable_second_is_passed_and_told() {
        let at =
            |text: &str| DateTime::parse_from_rfc3339(text).expect("a moment").timestamp_nanos_opt().expect("nanos");
        let passed = passed(Mark { nanos: at("2026-11-27T07:00:01.5Z"), count: 7 });
        assert!(passed.lines.is_empty() && passed.more && passed.lost);
        let from = Mark::parse(&passed.end).expect("a position");
        assert_eq!(texts(&piece(LOG, from, 100, false)), ["three four"]);
        let last = Mark { nanos: i64::MAX, count: 0 };
        assert!(Mark::parse(&super::passed(last).end).is_some_and(|next| next >= last), "whatever a client says");
    }
}
