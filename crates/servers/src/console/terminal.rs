//! Reads a console as a terminal shows it: turns the bytes of a game into lines of text.
//!
//! - Colours and other escape sequences vanish, and so do control characters. A tab becomes spaces.
//! - A line that the game redraws (carriage return, backspace, erasing) has its last state. Any move to another line
//!   ends the line.
//! - UTF-16 is recognized line by line. U+FFFD replaces bytes that have no meaning.
//! - A line without an end can be shown ([`Terminal::pause`]). If the game continues the line, the rest is an output of
//!   its own. If the game redraws it, the new state is one.
//!
//! The lines depend on the bytes and the pauses only, not on the pieces in which the bytes come. Memory is bounded: a
//! line of more than 8 KiB comes in pieces. An escape sequence ends with its line, so a broken one hides no more.
//!
//! `vte`, Alacritty's parser, knows the escape sequences. It has no dependencies that were not here, and without its
//! feature `std` its memory is bounded.

use std::{fmt, time::Duration};

use vte::{Parser, Perform};

use super::{
    encoding::Encoding,
    screen::{COLUMNS, LINE_BYTES, Output, Screen},
};

/// Silence after which an unfinished line is shown.
const MOMENT: Duration = Duration::from_millis(300);
/// Silence after which a line is shown that the game redraws. Otherwise every state of a progress bar became a line.
const MOMENT_OF_REDRAWN: Duration = Duration::from_secs(1);

/// Terminal that a game writes to. Remembers bytes that have no meaning yet, and the unfinished line.
#[derive(Default)]
pub struct Terminal {
    bytes: Vec<u8>,
    /// Number of `bytes` that were read.
    read: usize,
    /// Encoding of the current line if it has begun; otherwise of the line before.
    encoding: Encoding,
    /// Whether a part of the current line was read.
    has_begun: bool,
    /// Whether a zero byte may follow that belongs to the last line feed.
    owes_zero: bool,
    /// Whether bytes came since the last pause.
    is_fresh: bool,
    parser: Parser,
    screen: Screen,
}

/// Part of the bytes: a line, or a piece of one.
struct Piece {
    encoding: Encoding,
    text: String,
    /// Length in bytes, with the line feed.
    length: usize,
    is_end: bool,
}

impl Terminal {
    /// Width, in columns. Text goes on behind it.
    pub const COLUMNS: u16 = COLUMNS as u16;

    /// Takes bytes that the game wrote. Take every output before the next ones.
    pub fn write(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
        self.is_fresh = true;
    }

    /// Returns the next line.
    pub fn output(&mut self) -> Option<Output> {
        loop {
            let output = self.screen.take();
            if output.is_some() || !self.advance(false) {
                return output;
            }
        }
    }

    /// Returns the silence after which the unfinished line should be shown; `None` if that would show nothing new.
    pub fn patience(&self) -> Option<Duration> {
        let rest = self.rest();
        if !self.is_fresh || rest.is_empty() && !self.screen.has_news() {
            return None;
        }
        let is_redrawn = self.screen.is_redrawn() || rest.contains(&b'\r') || rest.contains(&0x08);
        Some(if is_redrawn { MOMENT_OF_REDRAWN } else { MOMENT })
    }

    /// Shows the unfinished line: [`Self::output`] returns it. Half a character or escape sequence waits for its rest.
    pub fn pause(&mut self) {
        self.is_fresh = false;
        while self.advance(true) {}
        self.screen.show();
    }

    /// Ends the current line: [`Self::output`] returns it.
    pub fn end(&mut self) {
        while self.advance(true) {}
        if !self.rest().is_empty() {
            // Half a character.
            self.screen.print(char::REPLACEMENT_CHARACTER);
            self.read = self.bytes.len();
        }
        self.screen.leave();
        self.begin_line();
    }

    /// Returns the text of the next line of a log that is new to a reader who has seen the text of its bytes `known`; `None` if
    /// nothing is new.
    pub(super) fn line(&mut self, known: &[u8], new: &[u8], is_whole: bool) -> Option<String> {
        if !known.is_empty() {
            self.write(known);
            self.pause();
            while self.output().is_some() {}
        }
        self.write(new);
        if is_whole {
            self.write(b"\n");
            self.end();
        } else {
            self.pause();
        }
        let texts: Vec<_> = std::iter::from_fn(|| self.output()).map(|output| output.news().to_owned()).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    }

    /// Checks whether the byte of a line feed after these bytes, with which a line begins, is half of a character. `next` is
    /// the beginning of the bytes behind it; `None` if there are none yet.
    pub(super) fn goes_on(&self, line: &[u8], next: Option<&[u8]>) -> bool {
        let (line, next) = (self.without_owed(line), next.and_then(|next| next.first().copied()));
        !Encoding::of(line, next, self.encoding).ends(line, next)
    }

    /// Checks whether a byte of a line feed ends these bytes, with which a line begins, for sure: whatever follows it.
    pub(super) fn has_ended(&self, line: &[u8]) -> bool {
        let line = self.without_owed(line);
        Encoding::of(line, None, self.encoding) != Encoding::Utf16Le && !self.goes_on(line, None)
    }

    fn without_owed<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        line.strip_prefix(&[0]).filter(|_| self.owes_zero).unwrap_or(line)
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.read..]
    }

    /// Passes the next piece on to the screen, and returns whether there was one. `is_all` says that no more bytes are
    /// expected.
    fn advance(&mut self, is_all: bool) -> bool {
        if self.owes_zero && !self.rest().is_empty() {
            self.read += usize::from(self.rest()[0] == 0);
            self.owes_zero = false;
        }
        let Some(piece) = self.piece(is_all) else { return false };
        self.read += piece.length;
        if self.rest().is_empty() {
            (self.bytes, self.read) = (Vec::new(), 0);
        }
        self.encoding = piece.encoding;
        self.has_begun = true;
        self.parser.advance(&mut self.screen, piece.text.as_bytes());
        if piece.is_end {
            self.owes_zero = piece.encoding == Encoding::Utf16Le;
            self.screen.end_line();
            self.begin_line();
        }
        true
    }

    fn begin_line(&mut self) {
        self.parser = Parser::new();
        self.has_begun = false;
    }

    fn piece(&self, is_all: bool) -> Option<Piece> {
        let rest = self.rest();
        let window = &rest[..rest.len().min(LINE_BYTES)];
        let mut known = self.has_begun.then_some(self.encoding);
        let feeds = window.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        for (place, _) in feeds {
            let (line, next) = (&rest[..place], rest.get(place + 1).copied());
            let is_early = |encoding| encoding == Encoding::Utf16Le && next.is_none() && !is_all;
            if is_early(self.encoding) {
                return None;
            }
            let encoding = *known.get_or_insert_with(|| Encoding::of(line, next, self.encoding));
            if is_early(encoding) {
                return None;
            }
            if encoding.ends(line, next) {
                // The end of a line from Windows would move the cursor.
                let text = encoding.decode(line).trim_end_matches('\r').to_owned();
                return Some(Piece { encoding, text, length: place + 1, is_end: true });
            }
        }
        if window.len() < LINE_BYTES && !is_all {
            return None;
        }
        let encoding = known.unwrap_or_else(|| Encoding::of(window, None, self.encoding));
        let whole = encoding.whole(window);
        let text = encoding.decode(whole);
        (!whole.is_empty()).then_some(Piece { encoding, text, length: whole.len(), is_end: false })
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("screen", &self.screen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
