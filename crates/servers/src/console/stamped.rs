//! Console that another program keeps: a log of lines, each after the time at which that program read it. A kubelet and
//! the engines of containers write such logs.

use agis_base::Timestamp;
use chrono::DateTime;

use super::{Begin, ConsoleError, Line, Piece, Position, Terminal};

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Place in a console: after this many lines of one time. Lines have their time to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    nanos: i64,
    count: u32,
}

impl Mark {
    /// Returns the place at which a read begins.
    ///
    /// # Errors
    /// Fails if the position is from another host.
    pub fn of(begin: &Begin) -> Result<Self, ConsoleError> {
        match begin {
            Begin::Behind(position) => Self::parse(position).ok_or(ConsoleError::Position),
            Begin::Recent { since, .. } => {
                let nanos = since.and_then(|since| since.timestamp_nanos_opt()).unwrap_or_default();
                Ok(Self { nanos, count: 0 })
            }
        }
    }

    /// Returns the second from which a log has to be fetched, since 1970; `None` for its beginning. Logs are asked for by
    /// whole seconds, and [`piece`] drops the earlier lines.
    pub fn second(self) -> Option<i64> {
        (self.nanos > 0).then_some(self.nanos / SECOND)
    }

    /// Returns the piece without lines from here on.
    pub fn nothing(self) -> Piece {
        Piece { lines: vec![], end: self.position(), more: false, lost: false }
    }

    fn parse(position: &Position) -> Option<Self> {
        let (nanos, count) = position.as_str().split_once('-')?;
        Some(Self { nanos: nanos.parse().ok()?, count: count.parse().ok()? })
    }

    /// Returns the position of the place.
    pub fn position(self) -> Position {
        Position::new(format!("{}-{}", self.nanos, self.count))
    }

    /// Moves the mark past the next line, which has this time.
    fn behind(self, nanos: i64) -> Self {
        let count = if nanos == self.nanos { self.count + 1 } else { 1 };
        Self { nanos, count }
    }
}

/// Returns the piece of a follower that continues after this second, since the rest of it cannot be fetched.
pub fn passed(from: Mark) -> Piece {
    let next = Mark { nanos: (from.nanos / SECOND + 1).saturating_mul(SECOND), count: 0 };
    Piece { lines: vec![], end: next.position(), more: true, lost: true }
}

/// Returns the lines of a log after a mark, and whether there is more. If the log was cut, its last line may be
/// incomplete.
pub fn piece(log: &[u8], from: Mark, limit: u32, is_cut: bool) -> Piece {
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
        // A line tells how the next one is written, also to a reader who has it already.
        let text = terminal.line(text);
        if mark <= from {
            continue;
        }
        if lines.len() >= limit as usize {
            more = true;
            break;
        }
        end = mark;
        lines.push(Line { at, text, position: mark.position() });
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
    fn resumed_reader_knows_the_encoding() {
        let log = b"2026-11-27T07:00:00Z u\0p\0\n2026-11-27T07:00:01Z \0go\n";
        let first = piece(log, Mark::default(), 1, false);
        let from = Mark::parse(&first.end).expect("a position");
        assert_eq!((texts(&first), texts(&piece(log, from, 1, false))), (vec!["up"], vec!["go"]));
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
