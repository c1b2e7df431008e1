//! Passes commands on: one line at a time through a FIFO, from any program to the shim, and on to the game.

use std::{fs, io, path::Path};

use agis_servers::console::ConsoleError;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, mkfifoat, open},
    io::Errno,
    pipe::PIPE_BUF,
};
use tokio::{
    io::AsyncWriteExt,
    net::unix::pipe::{OpenOptions, Sender},
    time::{Instant, timeout_at},
};

use crate::{game::CONSOLE_PATIENCE, line_reader::LineReader};

/// Sends a line to the shim, whole or not at all (pipe(7): at most `PIPE_BUF` bytes), and never waits.
pub(crate) fn send(path: &Path, command: &str) -> Result<(), ConsoleError> {
    let wrong = |error: Errno| ConsoleError::Unavailable(format!("{}: {error}", path.display()));
    let line = format!("{command}\n");
    let fifo = match open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) {
        // Nobody reads the FIFO. An earlier run made it.
        Err(Errno::NOENT | Errno::NXIO) => return Err(ConsoleError::NoWay),
        fifo => fifo.map_err(wrong)?,
    };
    if FileType::from_raw_mode(fstat(&fifo).map_err(wrong)?.st_mode) != FileType::Fifo || line.len() > PIPE_BUF {
        return Err(ConsoleError::NoWay);
    }
    match rustix::io::write(&fifo, line.as_bytes()) {
        Ok(_) => Ok(()),
        Err(Errno::AGAIN) => Err(ConsoleError::Busy),
        Err(Errno::PIPE) => Err(ConsoleError::NotRunning),
        Err(error) => Err(wrong(error)),
    }
}

/// The shim's end of the FIFO. The shim passes on one command after the other. Further ones wait in the FIFO, whose
/// size is bounded.
#[derive(Debug)]
pub(crate) struct Commands {
    lines: Option<LineReader>,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    line: String,
    /// Number of bytes that the game's console has taken. A terminal may take a part.
    typed: usize,
    until: Instant,
}

impl Commands {
    /// Creates the FIFO anew, for this account only, so unread lines of an earlier run do not reach this one.
    pub(crate) fn receive(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?,
        }
        // The shim opens it for writing as well, so the FIFO does not end when the last sender closes it.
        let fifo = OpenOptions::new().read_write(true).open_receiver(path)?;
        Ok(Self { lines: Some(LineReader::new(fifo)), waiting: None })
    }

    /// Creates an end that receives no commands.
    pub(crate) fn none() -> Self {
        Self { lines: None, waiting: None }
    }

    /// Checks whether commands can come.
    pub(crate) fn are_taken(&self) -> bool {
        self.lines.is_some()
    }

    /// Takes a command, or types it for the game, which has a while to make room. Returns a note for the console, if
    /// there is one. Dropping the future loses nothing, since a line of at most `PIPE_BUF` bytes is written as a whole
    /// or not at all.
    pub(crate) async fn pass_on(&mut self, game: &mut Sender) -> Option<String> {
        let Some(Waiting { line, typed, until }) = &mut self.waiting else { return self.take().await };
        let typing = async {
            while *typed < line.len() {
                *typed += game.write(&line.as_bytes()[*typed..]).await?;
            }
            io::Result::Ok(())
        };
        let typed = matches!(timeout_at(*until, typing).await, Ok(Ok(())));
        self.waiting = None;
        (!typed).then(|| "> (the game does not read its console: the last command was not taken)".to_owned())
    }

    async fn take(&mut self) -> Option<String> {
        let Some(command) = self.lines.as_mut()?.next().await else {
            self.lines = None;
            return Some("> (commands can no longer be taken)".to_owned());
        };
        let line = format!("{command}\n");
        if line.len() > PIPE_BUF {
            // AGIS never sends a command of this length.
            return Some(format!("> (a command of {} bytes was refused)", command.len()));
        }
        self.waiting = Some(Waiting { line, typed: 0, until: Instant::now() + CONSOLE_PATIENCE });
        Some(format!("> {command}"))
    }
}

#[cfg(test)]
mod tests;
