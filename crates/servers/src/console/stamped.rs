//! Console that another program keeps: a log of lines, each after the time at which that program read it. A kubelet and
//! the engines of containers write such logs.
//!
//! The log may end with a line that the game has not ended. A reader gets it once it is old enough, and the rest as a line of
//! its own. Such a program ends a line at each byte of a line feed, which may be half of a character in UTF-16: those
//! lines are joined again.

use std::time::Duration;

use agis_base::Timestamp;
use chrono::DateTime;

use super::{Begin, ConsoleError, Line, Piece, Position, Terminal};

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;
/// Age at which an unfinished line is shown. Some logs tell times by the second.
const UNFINISHED: Duration = Duration::from_secs(2);
/// Length up to which lines are joined, in bytes.
const JOINED_BYTES: usize = 8 * 1024;

/// Log, or a part of it.
#[derive(Debug, Default)]
pub struct Log {
    /// Bytes of its lines.
    pub bytes: Vec<u8>,
    /// Places in `bytes` at which a part of a line begins, if parts have times of their own.
    pub seams: Vec<usize>,
    /// Whether the fetch ended before the log did. Its last line may be incomplete.
    pub is_cut: bool,
    /// Whether the game has ended, so that no line is continued.
    pub is_over: bool,
}

/// Place in a console: after this many lines of one time, and after some bytes of the next line if it was shown before its
/// end. A part of a line with a time of its own counts as a line. Lines have their time to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    nanos: i64,
    count: u32,
    shown: usize,
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
                Ok(Self { nanos, ..Self::default() })
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
        let mut numbers = position.as_str().split('-');
        let (nanos, count) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let shown = numbers.next().map_or(Some(0), |shown| shown.parse().ok())?;
        numbers.next().is_none().then_some(Self { nanos, count, shown })
    }

    /// Returns the position of the place.
    pub fn position(self) -> Position {
        let Self { nanos, count, shown } = self;
        Position::new(if shown == 0 { format!("{nanos}-{count}") } else { format!("{nanos}-{count}-{shown}") })
    }

    /// Returns the place before the next line, which has this time.
    fn before(self, nanos: i64) -> Self {
        Self { nanos, count: if nanos == self.nanos { self.count } else { 0 }, shown: 0 }
    }

    /// Returns the place behind the next line, which has this time.
    fn behind(self, nanos: i64) -> Self {
        let before = self.before(nanos);
        Self { count: before.count + 1, ..before }
    }
}

/// Returns the position behind the last line of a piece that its game has ended; `None` if there is none.
pub fn behind_whole_lines(piece: &Piece) -> Option<&Position> {
    let is_whole = |position: &&Position| Mark::parse(position).is_some_and(|mark| mark.shown == 0);
    piece.lines.iter().rev().map(|line| &line.position).find(is_whole)
}

/// Returns the piece of a follower that continues after this second, since the rest of it cannot be fetched.
pub fn passed(from: Mark) -> Piece {
    let next = Mark { nanos: (from.nanos / SECOND + 1).saturating_mul(SECOND), ..Mark::default() };
    Piece { lines: vec![], end: next.position(), more: true, lost: true }
}

/// Line of a log, or a part with a time of its own.
struct Entry<'a> {
    at: Timestamp,
    nanos: i64,
    bytes: &'a [u8],
    is_end: bool,
}

impl<'a> Entry<'a> {
    /// Splits a line as the kubelet writes it: the time, a space, and the bytes of the game.
    fn of(line: &'a [u8]) -> Option<Self> {
        let text = line.strip_suffix(b"\n");
        let (is_end, text) = (text.is_some(), text.unwrap_or(line));
        let (at, bytes) = text.split_at_checked(text.iter().position(|byte| *byte == b' ')?)?;
        let at = DateTime::parse_from_rfc3339(str::from_utf8(at).ok()?).ok()?.to_utc();
        Some(Self { at, nanos: at.timestamp_nanos_opt()?, bytes: &bytes[1..], is_end })
    }
}

impl Log {
    /// Returns the lines and parts. The last line of a log that was cut is left for the next fetch, unless there is no other.
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let feeds = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1);
        let last = feeds.clone().next_back().filter(|_| self.is_cut);
        let end = last.unwrap_or(self.bytes.len());
        let mut begins: Vec<_> = feeds.chain(self.seams.iter().copied()).filter(|place| *place < end).collect();
        begins.sort_unstable();
        let ends: Vec<_> = begins.iter().copied().chain([end]).collect();
        let begins = [0].into_iter().chain(begins);
        begins.zip(ends).filter_map(|(begin, end)| Entry::of(&self.bytes[begin..end]))
    }
}

/// Line that is put together from its entries.
#[derive(Default)]
struct Whole {
    text: Vec<u8>,
    /// Number of bytes that the reader has seen.
    known: usize,
    is_end: bool,
    /// Place before the last entry, and the length of that.
    last: (Mark, usize),
}

impl Whole {
    /// Adds an entry that begins at this place. The reader is at `from`.
    fn add(&mut self, entry: &Entry<'_>, before: Mark, from: Mark) {
        if self.is_end {
            self.text.push(b'\n');
        }
        let begin = self.text.len();
        self.text.extend_from_slice(entry.bytes);
        if before.behind(entry.nanos) <= from {
            self.known = self.text.len();
        } else if (before.nanos, before.count) == (from.nanos, from.count) && from.shown > 0 {
            self.known = self.text.len().min(begin + from.shown);
        }
        (self.is_end, self.last) = (entry.is_end, (before, entry.bytes.len()));
    }

    /// Returns the place behind it.
    fn place(&self, behind: Mark) -> Mark {
        let (before, length) = self.last;
        if self.is_end { behind } else { Mark { shown: length, ..before } }
    }
}

/// Returns the lines of a log after a mark, and whether there is more.
pub fn piece(log: &Log, from: Mark, limit: u32, now: Timestamp) -> Piece {
    let is_settled =
        |at: Timestamp| log.is_over || log.is_cut || (now - at).to_std().is_ok_and(|age| age >= UNFINISHED);
    let (mut mark, mut end, mut lines, mut more) = (Mark::default(), from, vec![], log.is_cut);
    let mut terminal = Terminal::default();
    let mut entries = log.entries().peekable();
    while let Some(first) = entries.next() {
        let mut whole = Whole::default();
        whole.add(&first, mark.before(first.nanos), from);
        mark = mark.behind(first.nanos);
        while let Some(next) = entries.next_if(|next| {
            !whole.is_end || whole.text.len() < JOINED_BYTES && terminal.goes_on(&whole.text, Some(next.bytes))
        }) {
            whole.add(&next, mark.before(next.nanos), from);
            mark = mark.behind(next.nanos);
        }
        let is_sure = whole.is_end && (entries.peek().is_some() || terminal.has_ended(&whole.text));
        if !is_sure && !is_settled(first.at) {
            break;
        }
        // A line tells how the next one is written, also to a reader who has it already.
        let (known, new) = whole.text.split_at(whole.known);
        let (news, place) = (terminal.line(known, new, whole.is_end), whole.place(mark));
        if place <= from {
            continue;
        }
        if news.is_some() && lines.len() >= limit as usize {
            more = true;
            break;
        }
        end = place;
        lines.extend(news.map(|text| Line { at: first.at, text, position: place.position() }));
    }
    Piece { lines, end: end.position(), more, lost: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"2026-11-27T07:00:00.100000001Z one\n\
                       2026-11-27T07:00:00.100000001Z two\n\
                       2026-11-27T07:00:01Z \n\
                       not stamped\n\
                       2026-11-27T07:00:02.5Z three four\n";

    /// Some time after all lines.
    const LATER: Timestamp = Timestamp::MAX_UTC;

    fn log(bytes: &[u8]) -> Log {
        Log { bytes: bytes.to_vec(), ..Log::default() }
    }

    fn at(moment: &str) -> Timestamp {
        DateTime::parse_from_rfc3339(moment).expect("a moment").to_utc()
    }

    /// Reads on from the end of another piece.
    fn next(piece_before: &Piece, bytes: &[u8], now: Timestamp) -> Piece {
        piece(&log(bytes), Mark::parse(&piece_before.end).expect("a position"), 100, now)
    }

    fn texts(piece: &Piece) -> Vec<&str> {
        piece.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn resumed_reader_gets_every_line_once() {
        let all = piece(&log(LOG), Mark::default(), 100, LATER);
        assert_eq!((texts(&all), all.more), (vec!["one", "two", "", "three four"], false));
        for limit in 1..=4 {
            let (mut from, mut read) = (Mark::default(), vec![]);
            loop {
                let next = piece(&log(LOG), from, limit, LATER);
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
        let written = b"2026-11-27T07:00:00Z \x1b[32mready\x1b[0m\r\n\
                    2026-11-27T07:00:01Z 10%\r100%\n\
                    2026-11-27T07:00:02Z \x14\x040\x04\r\0\n\
                    2026-11-27T07:00:03Z \0caf\xe9\n";
        let all = piece(&log(written), Mark::default(), 100, LATER);
        assert_eq!(texts(&all), ["ready", "100%", "Да", "caf\u{fffd}"]);
    }

    #[test]
    fn resumed_reader_knows_the_encoding() {
        let written = b"2026-11-27T07:00:00Z u\0p\0\n2026-11-27T07:00:01Z \0go\n";
        let first = piece(&log(written), Mark::default(), 1, LATER);
        let from = Mark::parse(&first.end).expect("a position");
        assert_eq!((texts(&first), texts(&piece(&log(written), from, 1, LATER))), (vec!["up"], vec!["go"]));
    }

    #[test]
    fn cut_line_is_left_for_the_next_piece() {
        let cut = Log { is_cut: true, ..log(b"2026-11-27T07:00:00Z whole\n2026-11-27T07:00:01Z ha\xe2\x80") };
        let cut = piece(&cut, Mark::default(), 100, LATER);
        assert_eq!((texts(&cut), cut.more), (vec!["whole"], true));
    }

    #[test]
    fn unreadable_second_is_passed_and_told() {
        let at =
            |text: &str| DateTime::parse_from_rfc3339(text).expect("a moment").timestamp_nanos_opt().expect("nanos");
        let passed = passed(Mark { nanos: at("2026-11-27T07:00:01.5Z"), count: 7, shown: 0 });
        assert!(passed.lines.is_empty() && passed.more && passed.lost);
        let from = Mark::parse(&passed.end).expect("a position");
        assert_eq!(texts(&piece(&log(LOG), from, 100, LATER)), ["three four"]);
        let last = Mark { nanos: i64::MAX, ..Mark::default() };
        assert!(Mark::parse(&super::passed(last).end).is_some_and(|next| next >= last), "whatever a client says");
    }

    #[test]
    fn unfinished_line_is_shown_when_it_rests() {
        let half = b"2026-11-27T07:00:00Z one\n2026-11-27T07:00:01Z na";
        let early = piece(&log(half), Mark::default(), 100, at("2026-11-27T07:00:02Z"));
        assert_eq!((texts(&early), early.more), (vec!["one"], false));
        let over = Log { is_over: true, ..log(half) };
        assert_eq!(texts(&piece(&over, Mark::default(), 100, at("2026-11-27T07:00:01Z"))), ["one", "na"]);
        let late = next(&early, half, at("2026-11-27T07:00:03Z"));
        assert_eq!(texts(&late), ["na"]);
        assert_eq!(texts(&next(&late, half, LATER)), [""; 0], "nothing is told twice");
        assert_eq!(texts(&next(&late, b"2026-11-27T07:00:01Z na\x1b[0", LATER)), [""; 0]);

        let whole = b"2026-11-27T07:00:01Z na\x1b[0mme?\r\n2026-11-27T07:00:01Z next\n";
        let rest = next(&late, whole, LATER);
        assert_eq!(texts(&rest), ["me?", "next"], "the rest is a line of its own");
        let again = Mark::parse(behind_whole_lines(&early).expect("a whole line")).expect("a position");
        assert_eq!(texts(&piece(&log(whole), again, 100, LATER)), ["name?", "next"]);
        assert_eq!(behind_whole_lines(&late), None);
        // The line ends with no more text.
        let ended = next(&late, b"2026-11-27T07:00:01Z na\n", LATER);
        assert_eq!(texts(&ended), [""; 0]);
        assert_eq!(texts(&next(&ended, b"2026-11-27T07:00:01Z na\n2026-11-27T07:00:01Z b\n", LATER)), ["b"]);
        // A reader who asks for one line at a time gets the same.
        let one = piece(&log(whole), Mark::parse(&late.end).expect("a position"), 1, LATER);
        assert_eq!((texts(&one), one.more, texts(&next(&one, whole, LATER))), (vec!["me?"], true, vec!["next"]));
    }

    #[test]
    fn half_of_a_character_ends_no_line() {
        let (le, be) = ("ab \u{4e0a}\u{6d77} \u{40a}", "ab \u{a05} \u{40a}");
        let bytes = |line: &str, of: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("{line}\r\nready\r\n").encode_utf16().flat_map(of).collect()
        };
        for (written, first) in [(bytes(le, u16::to_le_bytes), le), (bytes(be, u16::to_be_bytes), be)] {
            let lines = written.split_inclusive(|byte| *byte == b'\n').enumerate();
            let stamped =
                lines.flat_map(|(second, line)| [format!("2026-11-27T07:00:{second:02}Z ").as_bytes(), line].concat());
            let stamped: Vec<u8> = stamped.collect();
            let all = piece(&log(&stamped), Mark::default(), 100, LATER);
            assert_eq!(texts(&all), [first, "ready"], "{stamped:?}");
            // The zero that ends the last line comes with the next one.
            let until = stamped.len() - 1;
            let early = piece(&log(&stamped[..until]), Mark::default(), 100, at("2026-11-27T07:00:00Z"));
            assert!(texts(&all).starts_with(&texts(&early)), "{early:?}");
        }
    }

    #[test]
    fn parts_with_times_are_places() {
        let parts = [
            "2026-11-27T07:00:01Z on",
            "2026-11-27T07:00:05Z e\n",
            "2026-11-27T07:00:05Z t",
            "2026-11-27T07:00:09Z wo",
        ];
        let log = |from: usize, to: usize| {
            let mut log = Log::default();
            for part in &parts[from..to] {
                if !log.bytes.is_empty() && !log.bytes.ends_with(b"\n") {
                    log.seams.push(log.bytes.len());
                }
                log.bytes.extend_from_slice(part.as_bytes());
            }
            log
        };
        let mark = |piece: &Piece| Mark::parse(&piece.end).expect("a position");
        assert_eq!(texts(&piece(&log(0, 4), Mark::default(), 100, LATER)), ["one", "two"]);
        let first = piece(&log(0, 1), Mark::default(), 100, LATER);
        let second = piece(&log(0, 3), mark(&first), 100, LATER);
        // A log from a time on may begin with the end of a line.
        let third = piece(&log(1, 4), mark(&second), 100, LATER);
        assert_eq!([&first, &second, &third].map(texts), [vec!["on"], vec!["e", "t"], vec!["wo"]]);
        assert_eq!(texts(&piece(&log(1, 4), mark(&third), 100, LATER)), [""; 0]);
    }
}
