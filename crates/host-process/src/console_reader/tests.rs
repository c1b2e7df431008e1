use std::{fs, io::Write, path::PathBuf};

use super::*;
use crate::console_writer::ConsoleWriter;

const EVERYTHING: Begin = Begin::Recent { tail: None, since: None };

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("console.log")
    }

    /// Keeps lines in files of at most so many bytes.
    fn keep(&self, limit: u64, lines: impl IntoIterator<Item = String>) {
        let mut console = ConsoleWriter::open(&self.path(), limit).expect("a console");
        lines.into_iter().for_each(|line| console.keep(&line));
    }

    fn append(&self, bytes: &[u8]) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path()).expect("a file");
        file.write_all(bytes).expect("written");
    }

    fn read(&self, begin: &Begin, limit: usize) -> Piece {
        read(&self.path(), begin, limit).expect("a piece")
    }
}

fn texts(piece: &Piece) -> Vec<&str> {
    piece.lines.iter().map(|line| line.text.as_str()).collect()
}

fn behind(piece: &Piece) -> Begin {
    Begin::Behind(piece.end.clone())
}

fn tail(lines: u32) -> Begin {
    Begin::Recent { tail: Some(lines), since: None }
}

#[test]
fn last_lines_reach_across_files() {
    let bench = Bench::new();
    bench.keep(100, (0..7).map(|line| format!("line {line}")));
    assert!(bench.dir.path().join("console.log.2").exists(), "this is about several files");
    for lines in 0..=7 {
        let piece = bench.read(&tail(lines), 100);
        let last: Vec<_> = (7 - lines..7).map(|line| format!("line {line}")).collect();
        assert_eq!((texts(&piece), piece.more, piece.lost), (last.iter().map(String::as_str).collect(), false, false));
        assert_eq!(texts(&bench.read(&behind(&piece), 100)), Vec::<&str>::new());
    }
    assert_eq!(bench.read(&tail(1000), 100).lines.len(), 7);
}

#[test]
fn pieces_follow_each_other_without_a_gap() {
    let bench = Bench::new();
    bench.keep(100, (0..7).map(|line| format!("line {line}")));
    let (mut begin, mut all) = (EVERYTHING, vec![]);
    loop {
        let piece = bench.read(&begin, 2);
        assert!(piece.lines.len() <= 2);
        // Behind the last line is where the piece ends, by two names where a file ends there.
        let last = piece.lines.last().map(|line| Begin::Behind(line.position.clone())).expect("a line");
        assert_eq!(bench.read(&last, 2), bench.read(&behind(&piece), 2));
        begin = last;
        all.extend(piece.lines.into_iter().map(|line| line.text));
        if !piece.more {
            break;
        }
    }
    assert_eq!(all, (0..7).map(|line| format!("line {line}")).collect::<Vec<_>>());
}

#[test]
fn reader_loses_nothing_across_rotations() {
    let bench = Bench::new();
    let mut console = ConsoleWriter::open(&bench.path(), 200).expect("a console");
    let mut begin = behind(&bench.read(&EVERYTHING, 10));
    for line in 0..300 {
        console.keep(&format!("line {line}"));
        // Not always after one line, and not always at the same place of a file.
        if line % 3 == 0 || line % 7 == 0 {
            continue;
        }
        loop {
            let piece = bench.read(&begin, 2);
            assert!(!piece.lost, "at line {line}");
            for read in &piece.lines {
                let expected = read.text.strip_prefix("line ").and_then(|number| number.parse::<u32>().ok());
                let count = COUNT.with(|count| count.replace(count.get() + 1));
                assert_eq!(expected, Some(count));
            }
            begin = behind(&piece);
            if !piece.more {
                break;
            }
        }
    }
    assert!(COUNT.get() >= 298);

    thread_local! {
        static COUNT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }
}

#[test]
fn lost_position_resumes_at_the_oldest_line() {
    let bench = Bench::new();
    bench.keep(100, ["an old line".to_owned()]);
    let early = behind(&bench.read(&EVERYTHING, 100));
    for run in 0..2 {
        bench.keep(100, (0..20).map(|line| format!("run {run} line {line}")));
    }
    let piece = bench.read(&early, 100);
    assert!(piece.lost);
    assert_eq!(texts(&piece), texts(&bench.read(&EVERYTHING, 100)));
    assert!(!bench.read(&behind(&piece), 100).lost, "it is said once");
    // A deleted console has no lines to miss.
    for name in ["console.log", "console.log.1", "console.log.2", "console.log.start"] {
        fs::remove_file(bench.dir.path().join(name)).expect("removed");
    }
    let piece = bench.read(&early, 100);
    assert_eq!((texts(&piece), piece.lost, behind(&piece)), (vec![], false, early));
}

#[test]
fn beginning_of_a_run_outlives_rotation() {
    let bench = Bench::new();
    bench.keep(200, ["before".to_owned()]);
    let mut console = ConsoleWriter::open(&bench.path(), 200).expect("a console");
    console.keep("first");
    let first = bench.read(&tail(1), 100).lines.remove(0);
    let mut middle = None;
    for line in 0..100 {
        console.keep(&format!("line {line}"));
        if line == 50 {
            middle = Some(behind(&bench.read(&tail(1), 100)));
        }
    }
    let all = bench.read(&EVERYTHING, 1000);
    assert_eq!((all.lost, &texts(&all)[..3]), (false, ["before", "first", "line 0"].as_slice()));
    let gap = all.lines.iter().position(|line| line.text.contains("lines are missing here")).expect("a gap");
    assert_eq!(texts(&all)[gap - 1], format!("line {}", gap - 3), "nothing else is missing before it");
    assert_eq!(texts(&all).last(), Some(&"line 99"));
    // A position in the beginning stays valid. A lost one behind it does not lead back to it.
    let next = bench.read(&Begin::Behind(first.position), 1);
    assert_eq!((texts(&next), next.lost), (vec!["line 0"], false));
    let lost = bench.read(&middle.expect("a position"), 1000);
    assert_eq!((texts(&lost), lost.lost), (texts(&all)[gap + 1..].to_vec(), true));
}

#[test]
fn early_reader_gets_the_first_line() {
    let bench = Bench::new();
    for begin in [EVERYTHING, tail(0), tail(100)] {
        let nothing = bench.read(&begin, 100);
        assert_eq!((texts(&nothing), nothing.more, nothing.lost), (vec![], false, false));
        bench.keep(1000, ["first".to_owned()]);
        let piece = bench.read(&behind(&nothing), 100);
        assert_eq!((texts(&piece), piece.lost), (vec!["first"], false));
        fs::remove_file(bench.path()).expect("removed");
    }
}

#[test]
fn since_includes_its_millisecond() {
    let bench = Bench::new();
    bench.append(
        b"2026-01-01T00:00:00.000Z one\n2026-01-01T00:00:00.500Z two\n\
          2026-01-01T00:00:00.500Z three\n2026-01-01T00:00:01.000Z four\n",
    );
    fs::rename(bench.path(), bench.dir.path().join("console.log.1")).expect("put aside");
    bench.append(b"2026-01-01T00:00:02.000Z five\n");
    let since = |tail, moment: &str| {
        let since = Some(DateTime::parse_from_rfc3339(moment).expect("a moment").to_utc());
        let piece = bench.read(&Begin::Recent { tail, since }, 100);
        piece.lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(since(None, "2025-12-31T00:00:00Z"), "one two three four five");
    assert_eq!(since(None, "2026-01-01T00:00:00.500Z"), "two three four five");
    assert_eq!(since(None, "2026-01-01T01:00:00.501+01:00"), "four five");
    assert_eq!(since(None, "2026-01-01T00:00:02Z"), "five");
    assert_eq!(since(None, "2026-01-01T00:00:02.001Z"), "");
    assert_eq!(since(Some(2), "2026-01-01T00:00:00.500Z"), "four five");
    assert_eq!(since(Some(100), "2026-01-01T00:00:01Z"), "four five");
}

#[test]
fn incomplete_line_waits_and_noise_is_passed() {
    let bench = Bench::new();
    bench.append(b"cut short\n\n2026-01-01T00:00:00.000Z \xff\xfe ok\n2026-13-01T00:00:00.000Z never\n");
    bench.append(b"2026-01-01T00:00:01.000Z half a");
    let piece = bench.read(&tail(100), 100);
    assert_eq!(texts(&piece), ["\u{fffd}\u{fffd} ok"]);
    bench.append(b" line\n");
    assert_eq!(texts(&bench.read(&behind(&piece), 100)), ["half a line"]);
    // A stranger's endless line.
    bench.append(b"2026-01-01T00:00:02.000Z ");
    bench.append(&vec![b'x'; 1024 * 1024]);
    assert_eq!(texts(&bench.read(&behind(&piece), 100)), ["half a line"]);
    bench.append(b"\n2026-01-01T00:00:03.000Z next\n");
    let rest = bench.read(&behind(&piece), 100);
    let lengths: Vec<_> = rest.lines.iter().map(|line| line.text.len()).collect();
    assert_eq!(lengths, [11, LINE_BYTES - MOMENT_BYTES - 1, 4]);
}

#[test]
fn cut_line_does_not_take_the_next_along() {
    let bench = Bench::new();
    bench.keep(1000, ["one".to_owned()]);
    bench.append(b"2026-01-01T00:00");
    bench.keep(1000, ["two".to_owned()]);
    assert_eq!(texts(&bench.read(&EVERYTHING, 100)), ["one", "two"]);
}

#[test]
fn a_piece_has_its_bound_in_bytes() {
    let bench = Bench::new();
    bench.keep(8 << 20, (0..100).map(|_| "x".repeat(8000)));
    let piece = bench.read(&tail(100), 100);
    assert_eq!((piece.lines.len(), piece.more), (PIECE_BYTES.div_ceil(8000), true));
    assert_eq!(bench.read(&behind(&piece), 100).lines.len(), PIECE_BYTES.div_ceil(8000));
}

#[test]
fn foreign_positions_are_refused() {
    let bench = Bench::new();
    bench.keep(1000, ["one".to_owned(), "two".to_owned()]);
    for position in
        ["", "-", "x", "1", "1-", "-1-1", "1-1-1", "+1-1", "1-+1", "01-1", "1-99999999999999999999", "\u{ff11}-1"]
    {
        let refused = read(&bench.path(), &Begin::Behind(Position::new(position)), 100);
        assert_eq!(refused, Err(ConsoleError::Position), "{position:?}");
    }
    let end = bench.read(&EVERYTHING, 100).end;
    let (first, offset) = parse(&end).expect("ours");
    for offset in [offset - 1, offset + 1, u64::MAX] {
        let piece = bench.read(&Begin::Behind(position(first, offset)), 100);
        assert_eq!((texts(&piece), piece.lost), (vec!["one", "two"], true), "{offset}");
    }
}

#[test]
fn only_a_file_is_read() {
    let bench = Bench::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, bench.path(), Mode::RUSR | Mode::WUSR).expect("a FIFO");
    assert_eq!(texts(&bench.read(&EVERYTHING, 100)), Vec::<&str>::new());
}
