//! Writes a server's console: every line with the time at which it was read, into files of bounded size.
//!
//! However much a game writes, the file with the beginning of its run stays (`console.log.start`), and says that lines
//! are missing behind it.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{
    console_reader::{self, MOMENT_BYTES},
    game_output::Heard,
};

/// Size at which a file is set aside, in bytes. A console has four files.
pub(crate) const FILE_BYTES: u64 = 6 * 1024 * 1024;
/// Part of a file that a run's beginning has at least: 384 KiB.
const START_PART: u64 = 16;
/// Number of bytes that a line takes beside its text.
pub(crate) const LINE_OVERHEAD: usize = MOMENT_BYTES + 2;
/// Last line of the file with a run's beginning, once the next lines are gone.
const GAP: &str = "> (lines are missing here: AGIS keeps the beginning of a run and its last lines)";
/// Number of last lines that are remembered, to explain why a game did not start.
const LAST_LINES: usize = 3;
const LAST_CHARS: usize = 200;

/// Writer of `console.log`. A rotation turns the file into `console.log.1`, that one into `console.log.2`, and drops
/// the oldest, or turns it into `console.log.start` if the run began there.
#[derive(Debug)]
pub(crate) struct ConsoleWriter {
    path: PathBuf,
    file: File,
    bytes: u64,
    limit: u64,
    /// Time of the file's first line, in milliseconds since 1970, by which the file is known; 0 if it has no line.
    first: i64,
    /// Whether the file's last line has no end.
    torn: bool,
    /// Number of rotations since the run began.
    rotations: u32,
    last: VecDeque<String>,
}

impl ConsoleWriter {
    /// Opens the file, and continues after the lines of earlier runs.
    pub(crate) fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        let first = console_reader::first_moment(&file)?.unwrap_or(0);
        let mut end = [b'\n'];
        let torn = bytes > 0 && file.read_exact_at(&mut end, bytes - 1).is_ok() && end != [b'\n'];
        let path = path.to_owned();
        let mut writer = Self { path, file, bytes, limit, first, torn, rotations: 0, last: VecDeque::new() };
        // The beginning of the run needs room in its file.
        if bytes + limit / START_PART > limit && writer.rotate().is_ok() {
            writer.rotations = 0;
        }
        Ok(writer)
    }

    /// Writes the text that was read from the game.
    pub(crate) fn hear(&mut self, heard: &Heard) {
        match heard {
            Heard::Line(output) => self.keep(output.news()),
            Heard::Note(note) => self.note(note),
        }
    }

    /// Writes a line of the game.
    pub(crate) fn keep(&mut self, text: &str) {
        self.note(text);
        if !text.trim().is_empty() {
            self.last.truncate(LAST_LINES - 1);
            self.last.push_front(text.chars().take(LAST_CHARS).collect());
        }
    }

    /// Writes a line that does not come from the game. The file gets the time in RFC 3339 (UTC, milliseconds), a space,
    /// and the text.
    pub(crate) fn note(&mut self, text: &str) {
        let mut now = Utc::now().timestamp_millis();
        let bytes = text.len() + LINE_OVERHEAD;
        if self.bytes > 0 && self.bytes + bytes as u64 > self.limit {
            // Without room or rights for a new file, the game goes on with the old file.
            let _ = self.rotate();
        }
        if self.bytes == 0 {
            // No two files begin with the same time, however fast they fill, and however the clock moves.
            now = now.max(self.first + 1);
            self.first = now;
        }
        let moment = written(now);
        let end_of_torn = if self.torn { "\n" } else { "" };
        match self.file.write_all(format!("{end_of_torn}{moment} {text}\n").as_bytes()) {
            Ok(()) => {
                self.bytes += (end_of_torn.len() + bytes) as u64;
                self.torn = false;
            }
            // The disk is full, so a part of the line may stand there.
            Err(_) => {
                self.bytes = self.file.metadata().map_or(self.bytes, |file| file.len());
                self.torn = self.bytes > 0;
            }
        }
    }

    /// Returns the last lines of this run; `None` if it has none.
    pub(crate) fn last_words(&self) -> Option<String> {
        let lines: Vec<_> = self.last.iter().rev().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join(" | "))
    }

    fn rotate(&mut self) -> io::Result<()> {
        let [newer, oldest, start] = ["log.1", "log.2", "log.start"].map(|name| self.path.with_extension(name));
        // The file is absent if an earlier rotation had no room for a new one.
        if self.path.exists() {
            if newer.exists() {
                if self.rotations == 2 && oldest.exists() {
                    fs::rename(&oldest, &start)?;
                } else {
                    // Without room for the note, the lines are missing all the same.
                    let _ = note_gap(&start, &oldest);
                }
                fs::rename(&newer, &oldest)?;
            }
            fs::rename(&self.path, &newer)?;
            self.rotations += 1;
        }
        self.file = append(&self.path)?;
        self.bytes = 0;
        self.torn = false;
        Ok(())
    }
}

/// Notes in the file of a run's beginning that the file `dropped` no longer follows, if both exist.
fn note_gap(start: &Path, dropped: &Path) -> io::Result<()> {
    if !start.exists() || !dropped.exists() {
        return Ok(());
    }
    let mut file = append(start)?;
    let line = format!("{} {GAP}\n", written(console_reader::first_moment(&File::open(dropped)?)?.unwrap_or(0)));
    let mut end = vec![0; GAP.len() + 1];
    let is_noted = file
        .metadata()?
        .len()
        .checked_sub(end.len() as u64)
        .is_some_and(|place| file.read_exact_at(&mut end, place).is_ok() && line.as_bytes().ends_with(&end));
    if is_noted { Ok(()) } else { file.write_all(line.as_bytes()) }
}

/// Formats a time as in the files.
fn written(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_leaves_a_bounded_history() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("console.log");
        for run in 0..2 {
            let mut console = ConsoleWriter::open(&path, 200).expect("a console");
            for line in 0..30 {
                console.keep(&format!("run {run} line {line}"));
            }
        }
        let read = |name| fs::read_to_string(path.with_extension(name)).expect("a file");
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 4);
        for name in ["log", "log.1", "log.2"] {
            assert!(read(name).len() <= 200 && read(name).contains("run 1 line "), "{}", read(name));
        }
        assert!(read("log").ends_with("run 1 line 29\n"));
        let start = read("log.start");
        assert!(start.contains("run 1 line 0\n") && start.ends_with(&format!("{GAP}\n")), "{start}");
        assert!(start.matches(GAP).count() == 1 && start.len() <= 200 + GAP.len() + LINE_OVERHEAD, "{start}");
    }

    #[test]
    fn beginning_of_a_run_has_room_in_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("console.log");
        let limit = 16 * 1024;
        for run in 0..40 {
            let mut console = ConsoleWriter::open(&path, limit).expect("a console");
            for line in 0..10 {
                console.keep(&format!("run {run:02} line {line} {}", "x".repeat(50)));
            }
        }
        let mut console = ConsoleWriter::open(&path, limit).expect("a console");
        (0..3000).for_each(|line| console.keep(&format!("last run line {line}")));
        let start = fs::read_to_string(path.with_extension("log.start")).expect("a file");
        let begin = start.find("last run line 0\n").expect("the beginning");
        assert!(start.len() - begin >= (limit / START_PART) as usize);
    }

    #[test]
    fn the_last_words_are_few_and_short() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut console = ConsoleWriter::open(&dir.path().join("console.log"), 1000).expect("a console");
        assert_eq!(console.last_words(), None);
        for line in ["one", "two", "", "three", &"4".repeat(5000)] {
            console.keep(line);
        }
        assert_eq!(console.last_words(), Some(format!("two | three | {}", "4".repeat(200))));
    }
}
