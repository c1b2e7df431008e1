//! Line on which a terminal's cursor stands.

use std::collections::VecDeque;

use vte::{Params, Perform};

/// Width that programs may assume, in columns. Cursor moves end there, as at the edge of a terminal.
pub(super) const COLUMNS: usize = 200;
/// Distance of tab stops, in columns.
const TAB: usize = 8;
/// Maximum length of a line, in bytes. A longer one comes in pieces.
pub(super) const LINE_BYTES: usize = 8 * 1024;

/// Text that a game wrote: a line, or a line so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    line: String,
    /// Length of the part that an earlier output held, in bytes.
    known: usize,
}

impl Output {
    /// Returns the line from its beginning.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Returns the part of the line that no earlier output held.
    pub fn news(&self) -> &str {
        self.line.get(self.known..).unwrap_or_default()
    }
}

/// Line under the cursor, and the finished lines that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Text before the cursor.
    left: String,
    /// Text from the cursor on, last character first.
    right: String,
    /// Text of the unfinished line when it was last shown.
    shown: String,
    /// Whether the game has replaced a part of the line since then.
    is_redrawn: bool,
    finished: VecDeque<Output>,
}

impl Screen {
    pub(super) fn take(&mut self) -> Option<Output> {
        self.finished.pop_front()
    }

    /// Checks whether the line is one that the game redraws, such as a progress bar.
    pub(super) fn is_redrawn(&self) -> bool {
        self.is_redrawn || !self.right.is_empty()
    }

    /// Checks whether the line holds a text that was not shown.
    pub(super) fn has_news(&self) -> bool {
        self.is_redrawn || self.left.len() + self.right.len() != self.shown.len()
    }

    /// Finishes the line.
    pub(super) fn end_line(&mut self) {
        let line = self.text();
        self.finished.extend(self.output(line));
        self.clear();
    }

    /// Finishes the line if it holds text, since the cursor leaves it.
    pub(super) fn leave(&mut self) {
        if self.left.is_empty() && self.right.is_empty() {
            self.clear();
        } else {
            self.end_line();
        }
    }

    /// Shows the line though it is unfinished.
    pub(super) fn show(&mut self) {
        let line = self.text();
        if !line.is_empty() {
            self.finished.extend(self.output(line.clone()));
            (self.shown, self.is_redrawn) = (line, false);
        }
    }

    fn text(&self) -> String {
        let mut text: String = self.left.chars().chain(self.right.chars().rev()).collect();
        if self.is_redrawn() {
            // Blanks have erased longer text.
            text.truncate(text.trim_end().len());
        }
        text
    }

    fn output(&self, line: String) -> Option<Output> {
        let known = if self.is_redrawn { 0 } else { self.shown.len() };
        let is_blank = line.get(known..).is_none_or(|news| news.trim().is_empty());
        let is_new = self.shown.is_empty() || line != self.shown && !is_blank;
        is_new.then_some(Output { line, known })
    }

    fn column(&self) -> usize {
        self.left.chars().count()
    }

    fn back(&mut self, columns: usize) {
        for _ in 0..columns {
            let Some(letter) = self.left.pop() else { break };
            self.right.push(letter);
        }
    }

    fn forward(&mut self, columns: usize) {
        for _ in self.column()..(self.column() + columns).min(COLUMNS - 1) {
            self.left.push(self.right.pop().unwrap_or(' '));
        }
    }

    /// Erases the line from the cursor on (0), up to the cursor (1), or as a whole (2). The cursor stays.
    fn erase(&mut self, how: usize) {
        self.is_redrawn |= how != 1 && !self.right.is_empty() || how > 0 && !self.left.is_empty();
        if how != 1 {
            self.right.clear();
        }
        if how > 0 {
            self.left = " ".repeat(self.column().min(COLUMNS - 1));
        }
    }

    fn clear(&mut self) {
        *self = Self { finished: std::mem::take(&mut self.finished), ..Self::default() };
    }
}

impl Perform for Screen {
    fn print(&mut self, letter: char) {
        // A byte order mark is none of the text.
        if letter.is_control() || letter == '\u{feff}' {
            return;
        }
        self.is_redrawn |= self.right.pop().is_some();
        self.left.push(letter);
        if self.left.len() + self.right.len() >= LINE_BYTES {
            self.end_line();
        }
    }

    fn execute(&mut self, control: u8) {
        match control {
            b'\r' => self.back(usize::MAX),
            0x08 => self.back(1),
            b'\t' => (0..TAB - self.column() % TAB).for_each(|_| self.print(' ')),
            b'\n' => self.leave(),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        if !intermediates.is_empty() {
            return;
        }
        let param = usize::from(params.iter().next().and_then(|param| param.first()).copied().unwrap_or_default());
        match action {
            'C' => self.forward(param.max(1)),
            'D' => self.back(param.max(1)),
            'G' => {
                self.back(usize::MAX);
                self.forward(param.max(1) - 1);
            }
            'J' if param == 0 => self.erase(0),
            'K' => self.erase(param),
            'A' | 'B' | 'E' | 'F' | 'H' | 'd' | 'f' => self.leave(),
            _ => {}
        }
    }
}
