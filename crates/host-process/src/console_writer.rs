//! Writes a server's console: every line with the time at which it was read, into files of bounded size.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::console_reader::{self, MOMENT_BYTES};

/// Size at which a file is set aside, in bytes.
pub(crate) const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Number of last lines that are remembered, to explain why a game did not start.
const LAST_LINES: usize = 3;
const LAST_CHARS: usize = 200;

/// Writer of `console.log`. A rotation turns the file into `console.log.1`, that one into `console.log.2`, and drops
/// the oldest.
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
        Ok(Self { path: path.to_owned(), file, bytes, limit, first, torn, last: VecDeque::new() })
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
        let bytes = MOMENT_BYTES + 1 + text.len() + 1;
        // Without room or rights for a new file, the game goes on with the old file.
        if self.bytes > 0 && self.bytes + bytes as u64 > self.limit && self.rotate().is_ok() {
            // No two files begin with the same time, however fast they fill, and however the clock moves.
            now = now.max(self.first + 1);
        }
        if self.bytes == 0 {
            self.first = now;
        }
        let moment = DateTime::from_timestamp_millis(now).unwrap_or_default();
        let moment = moment.to_rfc3339_opts(SecondsFormat::Millis, true);
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
        let aside = |n| self.path.with_extension(format!("log.{n}"));
        // The file is absent if an earlier rotation had no room for a new one.
        if self.path.exists() {
            if aside(1).exists() {
                fs::rename(aside(1), aside(2))?;
            }
            fs::rename(&self.path, aside(1))?;
        }
        self.file = append(&self.path)?;
        self.bytes = 0;
        self.torn = false;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_file_is_rotated_and_third_is_last() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("console.log");
        for run in 0..2 {
            let mut console = ConsoleWriter::open(&path, 200).expect("a console");
            for line in 0..20 {
                console.keep(&format!("run {run} line {line}"));
            }
        }
        let mut names: Vec<_> = fs::read_dir(dir.path()).expect("a directory").map(|f| f.expect("f").path()).collect();
        names.sort();
        let whole: String = names.iter().rev().map(|name| fs::read_to_string(name).expect("text")).collect();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| fs::metadata(name).expect("a file").len() <= 200));
        assert!(whole.ends_with("run 1 line 19\n") && whole.contains("run 1 line 12\n"), "{whole}");
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
