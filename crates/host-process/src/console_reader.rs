//! Reads a server's console: pieces of bounded size, at positions that outlive rotation.
//!
//! The time of its first line names a file under all its names. An inode's number does not, since the next file may get
//! it. A full disk or a killed shim can cut a line short. Its rest has no time and is skipped.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
};

use agis_base::Timestamp;
use agis_servers::console::{Begin, ConsoleError, Line, Piece, Position};
use chrono::DateTime;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};

/// Length of a written time: `2026-01-31T12:00:00.000Z`.
pub(crate) const MOMENT_BYTES: usize = 24;
/// Number of bytes that one read takes.
const BLOCK: usize = 64 * 1024;
/// Maximum length of a line, in bytes. Only a stranger writes longer ones, and their rest is dropped.
const LINE_BYTES: usize = 64 * 1024;
/// Size of a piece, in bytes. A piece ends with the line that reaches it.
const PIECE_BYTES: usize = 256 * 1024;

/// File of a console.
#[derive(Debug)]
struct ConsoleFile {
    file: File,
    /// Time of its first line, in milliseconds since 1970.
    first: i64,
}

/// Place between two lines: `offset` bytes into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LinePlace {
    part: usize,
    offset: u64,
}

const BEGINNING: LinePlace = LinePlace { part: 0, offset: 0 };

/// Reads the lines that [`crate::console_writer::ConsoleWriter`] has written at `path`.
pub(crate) fn read(path: &Path, begin: &Begin, limit: usize) -> Result<Piece, ConsoleError> {
    let asked = match begin {
        Begin::Behind(position) => Some(parse(position).ok_or(ConsoleError::Position)?),
        Begin::Recent { .. } => None,
    };
    let files = ConsoleFiles::open(path).map_err(|error| unavailable(path, &error))?;
    files.read(asked, begin, limit).map_err(|error| unavailable(path, &error))
}

fn unavailable(path: &Path, error: &io::Error) -> ConsoleError {
    ConsoleError::Unavailable(format!("{}: {error}", path.display()))
}

/// Returns the time of the first line that has one.
pub(crate) fn first_moment(file: &File) -> io::Result<Option<i64>> {
    let mut start = vec![0; MOMENT_BYTES + 1];
    if file.read_exact_at(&mut start, 0).is_ok()
        && let Some((at, _)) = moment(&start)
    {
        return Ok(Some(at.timestamp_millis()));
    }
    let mut reader = BufReader::with_capacity(BLOCK, file);
    reader.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    while next(&mut reader, &mut line)?.is_some() {
        if let Some((at, _)) = moment(&line) {
            return Ok(Some(at.timestamp_millis()));
        }
    }
    Ok(None)
}

/// Files that have a line, the oldest first.
struct ConsoleFiles(Vec<ConsoleFile>);

impl ConsoleFiles {
    /// Opens the newest file first. A rotation meanwhile then shows a file twice, and never hides one.
    fn open(path: &Path) -> io::Result<Self> {
        let mut parts: Vec<ConsoleFile> = Vec::new();
        for name in ["log", "log.1", "log.2", "log.start"] {
            let Some(file) = open_file(&path.with_extension(name))? else { continue };
            if let Some(first) = first_moment(&file)?
                && parts.iter().all(|part| part.first != first)
            {
                parts.push(ConsoleFile { file, first });
            }
        }
        parts.reverse();
        Ok(Self(parts))
    }

    fn read(&self, asked: Option<(i64, u64)>, begin: &Begin, limit: usize) -> io::Result<Piece> {
        let (place, lost) = match (asked, begin) {
            // This position was returned when the console had no line yet.
            (Some((0, 0)), _) => (BEGINNING, false),
            (Some((first, offset)), _) if self.0.is_empty() => {
                return Ok(Piece { lines: vec![], end: position(first, offset), more: false, lost: false });
            }
            (Some((first, offset)), _) => match self.find(first, offset)? {
                Some(place) => (place, false),
                None => (self.behind(first), true),
            },
            (None, Begin::Recent { tail, since }) => {
                let tail = tail.map_or(Ok(BEGINNING), |lines| self.last(lines))?;
                let since = since.map_or(Ok(BEGINNING), |moment| self.since(moment))?;
                (tail.max(since), false)
            }
            (None, Begin::Behind(_)) => (BEGINNING, true),
        };
        let (lines, end, more) = self.forward(place, limit)?;
        Ok(Piece { lines, end, more, lost })
    }

    /// Returns the place of a position; `None` if its file is gone or has changed.
    fn find(&self, first: i64, offset: u64) -> io::Result<Option<LinePlace>> {
        let Some(part) = self.0.iter().position(|part| part.first == first) else { return Ok(None) };
        let mut before = [b'\n'];
        if offset > 0 && self.0[part].file.read_exact_at(&mut before, offset - 1).is_err() {
            return Ok(None);
        }
        Ok((before == [b'\n']).then_some(LinePlace { part, offset }))
    }

    /// Returns the oldest place that a reader of the file with this first time has not seen. The beginning of the run
    /// may be older.
    fn behind(&self, first: i64) -> LinePlace {
        let part = self.0.iter().position(|part| part.first >= first).unwrap_or(0);
        LinePlace { part, offset: 0 }
    }

    /// Returns the place at which the last lines begin.
    fn last(&self, lines: u32) -> io::Result<LinePlace> {
        let mut left = lines;
        for (part, ConsoleFile { file, .. }) in self.0.iter().enumerate().rev() {
            if let Some(offset) = back(file, &mut left)? {
                return Ok(LinePlace { part, offset });
            }
        }
        Ok(BEGINNING)
    }

    /// Returns the place at which the lines since a time begin.
    fn since(&self, moment: Timestamp) -> io::Result<LinePlace> {
        let earlier = self.0.iter().rposition(|part| part.first < moment.timestamp_millis());
        let mut place = LinePlace { part: earlier.unwrap_or(0), offset: 0 };
        let mut line = Vec::new();
        while let Some(ConsoleFile { file, .. }) = self.0.get(place.part) {
            let mut reader = reader(file, place.offset)?;
            while let Some(bytes) = next(&mut reader, &mut line)? {
                if self::moment(&line).is_some_and(|(at, _)| at >= moment) {
                    return Ok(place);
                }
                place.offset += bytes;
            }
            if place.part + 1 == self.0.len() {
                break;
            }
            place = LinePlace { part: place.part + 1, offset: 0 };
        }
        Ok(place)
    }

    /// Returns whole lines from a place on, the position of their end, and whether there is more.
    fn forward(&self, from: LinePlace, limit: usize) -> io::Result<(Vec<Line>, Position, bool)> {
        let (mut lines, mut bytes, mut buffer) = (Vec::new(), 0, Vec::new());
        let mut end = position(0, 0);
        for (index, part) in self.0.iter().enumerate().skip(from.part) {
            let mut offset = if index == from.part { from.offset } else { 0 };
            let mut reader = reader(&part.file, offset)?;
            while let Some(length) = next(&mut reader, &mut buffer)? {
                if lines.len() >= limit || bytes >= PIECE_BYTES {
                    return Ok((lines, position(part.first, offset), true));
                }
                offset += length;
                if let Some((at, text)) = moment(&buffer) {
                    bytes += text.len();
                    let text = String::from_utf8_lossy(text).into_owned();
                    lines.push(Line { at, text, position: position(part.first, offset) });
                }
            }
            end = position(part.first, offset);
        }
        Ok((lines, end, false))
    }
}

/// Opens a regular file only, and never waits for another kind of file under that name.
fn open_file(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        file => file?,
    };
    let is_file = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile;
    Ok(is_file.then(|| file.into()))
}

fn reader(file: &File, offset: u64) -> io::Result<BufReader<&File>> {
    let mut reader = BufReader::with_capacity(BLOCK, file);
    reader.seek(SeekFrom::Start(offset))?;
    Ok(reader)
}

/// Reads a line without its end and returns its length; `None` if no whole line is left.
fn next(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    line.clear();
    let mut length = 0;
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            return Ok(None);
        }
        let end = block.iter().position(|byte| *byte == b'\n');
        let text = &block[..end.unwrap_or(block.len())];
        line.extend_from_slice(&text[..text.len().min(LINE_BYTES - line.len())]);
        let used = text.len() + usize::from(end.is_some());
        reader.consume(used);
        length += used as u64;
        if end.is_some() {
            return Ok(Some(length));
        }
    }
}

/// Walks back over at most `left` whole lines. Returns the place at which the last of them begins, if it is in this
/// file.
fn back(file: &File, left: &mut u32) -> io::Result<Option<u64>> {
    let mut at = file.metadata()?.len();
    let mut block = vec![0; BLOCK];
    while at > 0 {
        let length = at.min(BLOCK as u64);
        at -= length;
        let block = &mut block[..length as usize];
        file.read_exact_at(block, at)?;
        for end in (0..block.len()).rev().filter(|byte| block[*byte] == b'\n') {
            if *left == 0 {
                return Ok(Some(at + end as u64 + 1));
            }
            *left -= 1;
        }
    }
    Ok((*left == 0).then_some(0))
}

/// Splits a line into its time and its text.
fn moment(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (at, text) = line.split_at_checked(MOMENT_BYTES)?;
    let text = text.strip_prefix(b" ")?;
    let at = DateTime::parse_from_rfc3339(std::str::from_utf8(at).ok()?).ok()?;
    Some((at.to_utc(), text))
}

fn position(first: i64, offset: u64) -> Position {
    Position::new(format!("{first}-{offset}"))
}

/// Parses a position, of which exactly one spelling is valid.
fn parse(text: &Position) -> Option<(i64, u64)> {
    let (first, offset) = text.as_str().split_once('-')?;
    let (first, offset) = (first.parse().ok()?, offset.parse().ok()?);
    (position(first, offset) == *text).then_some((first, offset))
}

#[cfg(test)]
mod tests;
