//! Reads what a game writes: lines as a terminal shows them, no faster than the console's rate.
//!
//! A game that writes faster is not read for a while, so its pipe fills up and the game waits. Nothing is lost. While a
//! game ends, AGIS reads on and drops what is over the rate: the game must not wait for its console then.

use std::{io, os::fd::OwnedFd, time::Duration};

use agis_servers::{
    console::{Output, Terminal},
    game::Rate,
};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use crate::{console_rate::ConsoleRate, console_writer::LINE_OVERHEAD, identity};

/// Number of bytes that one read takes.
const READ_BYTES: usize = 16 * 1024;
/// Maximum time for which an unfinished line is held back though the game goes on writing it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Number of bytes that a game may write when it is asked to end, and again when it has ended, at any rate.
const LAST_BYTES: u64 = 256 * 1024;
/// Time between two notes about the rate.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Silence after which a game has caught up with its console, and wait after which a note comes though it has not.
const NOTE_AFTER: Duration = Duration::from_secs(1);
/// Wait that is worth a note.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// Time between two reads that are dropped, so a flood does not keep the shim busy.
const DROP_EVERY: Duration = Duration::from_millis(1);

/// Text for the console.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Line of the game, or its part that is new.
    Line(Output),
    /// Note of AGIS.
    Note(String),
}

/// Reader of a game's output.
#[derive(Debug)]
pub(crate) struct GameOutput {
    source: AsyncFd<OwnedFd>,
    has_ended: bool,
    terminal: Terminal,
    last_read: Instant,
    /// Time since which the unfinished line waits to be shown.
    held_back_since: Option<Instant>,
    /// Rate that the notes name; `None` for no limit.
    limit: Option<Rate>,
    rate: ConsoleRate,
    /// Number of bytes that were read and charged, and have not become lines yet.
    charged: usize,
    /// Whether bytes over the rate are dropped.
    drops: bool,
    gap: Gap,
}

/// Time and bytes that no note has told of yet.
#[derive(Debug, Default)]
struct Gap {
    waited: Duration,
    dropped: usize,
    noted: Option<Instant>,
}

impl GameOutput {
    /// Reads from the end of a pipe or the master of a pseudo-terminal. Must be called inside a runtime.
    pub(crate) fn new(source: OwnedFd, limit: Option<Rate>) -> io::Result<Self> {
        fcntl_setfl(&source, fcntl_getfl(&source)? | OFlags::NONBLOCK)?;
        Ok(Self {
            source: identity::watch(source)?,
            has_ended: false,
            terminal: Terminal::default(),
            last_read: Instant::now(),
            held_back_since: None,
            limit,
            rate: ConsoleRate::new(limit, Instant::now()),
            charged: 0,
            drops: false,
            gap: Gap::default(),
        })
    }

    /// Reads the next text; `None` after the end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(output) = self.terminal.output() {
                return Some(Heard::Line(self.charge(output)));
            }
            if let Some(note) = self.note() {
                return Some(Heard::Note(note));
            }
            if self.has_ended {
                return None;
            }
            match (self.rate.held_until(Instant::now()), self.deadline()) {
                (Some(until), _) if !self.drops => sleep_until(until).await,
                (Some(_), _) => {
                    sleep(DROP_EVERY).await;
                    self.fill().await;
                }
                (None, None) => self.fill().await,
                (None, Some(at)) => {
                    if timeout_at(at, self.fill()).await.is_err() && self.text_due().is_some_and(|due| due <= at) {
                        self.terminal.pause();
                    }
                }
            }
        }
    }

    /// Lets the game write a little more at once, and drops bytes over the rate from now on.
    pub(crate) fn let_end(&mut self) {
        self.rate.grant(LAST_BYTES, Instant::now());
        self.drops = true;
    }

    async fn fill(&mut self) {
        let Self { source, terminal, rate, drops, .. } = self;
        let read = source.async_io(Interest::READABLE, |source| {
            // The buffer is on the stack for this moment only, since a shim waits for most of its life.
            let mut buffer = [0; READ_BYTES];
            let length = rustix::io::read(source, &mut buffer)?;
            let is_kept = !*drops || rate.held_until(Instant::now()).is_none();
            if is_kept {
                terminal.write(&buffer[..length]);
            }
            Ok((length, is_kept))
        });
        match read.await {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A pseudo-terminal ends with an error.
            Err(_) | Ok((0, _)) => {
                self.terminal.end();
                self.has_ended = true;
            }
            Ok((length, true)) => {
                self.last_read = Instant::now();
                self.charged = (self.charged + length).min(2 * READ_BYTES);
                self.gap.waited += self.rate.take(length as u64, self.last_read);
            }
            Ok((length, false)) => {
                self.terminal.end();
                self.gap.dropped += length;
            }
        }
    }

    /// Charges the rate for the bytes that the line adds to the console beyond the game's own.
    fn charge(&mut self, output: Output) -> Output {
        let stored = output.news().len() + LINE_OVERHEAD;
        let extra = stored.saturating_sub(self.charged) as u64;
        self.gap.waited += self.rate.take(extra, Instant::now());
        self.charged = self.charged.saturating_sub(stored);
        self.held_back_since = None;
        output
    }

    /// Returns the time at which there is something to do even if the game writes nothing more. A silent console has
    /// no timer.
    fn deadline(&mut self) -> Option<Instant> {
        self.text_due().into_iter().chain(self.gap.due(self.last_read)).min()
    }

    fn text_due(&mut self) -> Option<Instant> {
        let patience = self.terminal.patience()?;
        let since = *self.held_back_since.get_or_insert(self.last_read);
        Some((self.last_read + patience).min(since + PATIENCE))
    }

    fn note(&mut self) -> Option<String> {
        let now = Instant::now();
        let is_due = self.gap.due(self.last_read).is_some_and(|due| due <= now || self.has_ended);
        if !is_due && !self.gap.is_long(now) {
            return None;
        }
        let Gap { waited, dropped, .. } = std::mem::replace(&mut self.gap, Gap { noted: Some(now), ..Gap::default() });
        let limit = self.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        let over = format!("the console was over its rate{limit}");
        Some(match dropped {
            0 => format!("> ({over}: the game waited {:.1} s)", waited.as_secs_f64()),
            _ => format!("> ({over} while the game ended: {} KiB are missing)", dropped.div_ceil(1024)),
        })
    }
}

impl Gap {
    /// Returns the time at which to tell of the gap, if the game has written last at `last_read`.
    fn due(&self, last_read: Instant) -> Option<Instant> {
        let is_worth_it = self.dropped > 0 || self.waited >= WAIT_MIN;
        let caught_up = last_read + NOTE_AFTER;
        is_worth_it.then(|| self.noted.map_or(caught_up, |noted| caught_up.max(noted + NOTE_EVERY)))
    }

    /// Checks whether to tell of the gap though the game goes on writing.
    fn is_long(&self, now: Instant) -> bool {
        self.waited >= NOTE_AFTER && self.noted.is_none_or(|noted| now >= noted + NOTE_EVERY)
    }
}

#[cfg(test)]
mod tests;
