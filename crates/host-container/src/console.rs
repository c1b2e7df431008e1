//! Console of a server: the log that the engine keeps of its container, and its standard input.
//!
//! The engine bounds the log and takes lines at any rate. The log of a run stays until the next run.

use std::{fs::OpenOptions, io::Write, os::unix::fs::FileTypeExt, pin::pin, time::Duration};

use agis_base::ServerId;
use agis_servers::console::{
    Begin, ConsoleError, Piece,
    stamped::{Log, Mark, passed, piece},
};
use bollard::query_parameters::{AttachContainerOptionsBuilder, LogsOptionsBuilder};
use chrono::Utc;
use futures_util::StreamExt;
use rustix::{fs::OFlags, io::Errno};
use tokio::{
    io::AsyncWriteExt,
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    engine::{Brand, Trouble},
    host::Setup,
    record::Run,
    seen::{Live, Seen, State},
};

/// Maximum size of a log that one look fetches, in bytes.
const BYTES: usize = 1 << 20;
/// Maximum size of a look if the smaller one brings nothing new, in bytes. A log starts at a whole second, and one second
/// may have more.
const BYTES_OF_A_SECOND: usize = 16 << 20;
/// Lines before the wanted last ones that are fetched too. Podman tells times by the second, so a place in a second is
/// known by the number of its earlier lines.
const BEFORE: u32 = 1000;
/// Maximum number of large looks at once, so many followers of busy servers do not fill the memory.
static LARGE: Semaphore = Semaphore::const_new(2);
/// Time for which a line may be on its way to the engine.
const TYPING: Duration = Duration::from_secs(2);
/// Numbers of last lines and their characters that explain a failed start.
const LAST_LINES: u32 = 3;
const LAST_CHARS: usize = 200;

pub(crate) async fn lines(setup: &Setup, server: ServerId, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
    let from = Mark::of(begin)?;
    let Some(seen) = setup.look(server).await?.filter(|it| it.state != State::Created) else {
        return Ok(from.nothing());
    };
    if let Begin::Recent { tail: Some(tail), .. } = begin {
        return last(setup, &seen, from, *tail, limit).await;
    }
    let small = fetch(setup, &seen, from, None, BYTES).await?;
    let found = piece(&small, from, limit, Utc::now());
    let is_stuck = |piece: &Piece| piece.more && piece.lines.is_empty();
    if !is_stuck(&found) {
        return Ok(found);
    }
    let _permit = LARGE.acquire().await;
    let large = fetch(setup, &seen, from, None, BYTES_OF_A_SECOND).await?;
    let found = piece(&large, from, limit, Utc::now());
    Ok(if is_stuck(&found) { passed(from) } else { found })
}

/// Returns the last lines, at most `limit` of them.
async fn last(setup: &Setup, seen: &Seen, from: Mark, tail: u32, limit: u32) -> Result<Piece, ConsoleError> {
    let mut part = match setup.engine.brand().await? {
        // Podman counts parts of lines as lines when it looks for the last ones. Its logs are small, so all of it is read.
        Brand::Podman => {
            let _permit = LARGE.acquire().await;
            fetch(setup, seen, from, None, BYTES_OF_A_SECOND).await?
        }
        Brand::Docker => fetch(setup, seen, from, Some(tail.saturating_add(BEFORE)), BYTES).await?,
    };
    if part.is_cut {
        let _permit = LARGE.acquire().await;
        part = fetch(setup, seen, from, Some(tail), BYTES_OF_A_SECOND).await?;
    }
    let mut found = piece(&part, from, u32::MAX, Utc::now());
    let unwanted = found.lines.len().saturating_sub(tail as usize);
    found.lines.drain(..unwanted);
    if found.lines.len() > limit as usize {
        found.lines.truncate(limit as usize);
        found.more = true;
        if let Some(line) = found.lines.last() {
            found.end = line.position.clone();
        }
    }
    Ok(found)
}

/// Fetches the log from a place on, as bytes: a game may write any.
async fn fetch(setup: &Setup, seen: &Seen, from: Mark, tail: Option<u32>, most: usize) -> Result<Log, Trouble> {
    // Podman leaves out the lines of the very second.
    let since = from.second().and_then(|it| i32::try_from(it - 1).ok()).unwrap_or_default();
    let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let options =
        LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).since(since).tail(&tail).build();
    let docker = setup.engine.docker().await?;
    let mut frames = pin!(docker.logs(&seen.id, Some(options)));
    let until = Instant::now() + setup.engine.pace.call;
    let is_over = matches!(seen.state, State::Ended(_));
    let mut log = Log { is_over, ..Log::default() };
    loop {
        let late = |_| Trouble::Silent("the log of a container does not come".to_owned());
        match timeout_at(until, frames.next()).await.map_err(late)? {
            None => return Ok(log),
            Some(frame) => match frame.map_err(Trouble::from) {
                Ok(frame) => {
                    // A line may come in parts, each with its time.
                    if log.bytes.last().is_some_and(|byte| *byte != b'\n') {
                        log.seams.push(log.bytes.len());
                    }
                    log.bytes.extend_from_slice(frame.as_ref());
                }
                // The container is gone.
                Err(trouble) if trouble.is_gone() => return Ok(log),
                Err(trouble) => return Err(trouble),
            },
        }
        if log.bytes.len() >= most {
            log.is_cut = true;
            return Ok(log);
        }
    }
}

/// Returns the last lines of a container, to explain its end; `None` if it has none.
pub(crate) async fn last_words(setup: &Setup, seen: &Seen) -> Option<String> {
    let begin = Mark::default();
    let piece = last(setup, seen, begin, LAST_LINES, LAST_LINES).await.ok()?;
    let short = |text: &str| text.chars().take(LAST_CHARS).collect::<String>();
    let words: Vec<_> = piece.lines.iter().filter(|it| !it.text.trim().is_empty()).map(|it| short(&it.text)).collect();
    (!words.is_empty()).then(|| words.join(" | "))
}

/// Types a line for the server's game.
pub(crate) async fn tell(setup: &Setup, server: ServerId, command: &str) -> Result<(), ConsoleError> {
    let Some(seen) = setup.look(server).await? else { return Err(ConsoleError::NotRunning) };
    let State::Running(live) = &seen.state else { return Err(ConsoleError::NotRunning) };
    let pty = setup.record(server).await?.is_some_and(|Run { pty, .. }| pty);
    type_line(setup, &seen, live, pty, command).await
}

/// Types a line for the game of a container.
///
/// Docker keeps the input of a container open when a client goes. Podman closes it, and the game would read its end: there
/// the line goes to the pipe itself, which this machine's kernel has.
pub(crate) async fn type_line(
    setup: &Setup,
    seen: &Seen,
    live: &Live,
    pty: bool,
    line: &str,
) -> Result<(), ConsoleError> {
    if live.is_paused {
        return Err(ConsoleError::Busy);
    }
    let line = format!("{line}\n");
    match setup.engine.brand().await? {
        Brand::Podman if !pty => type_into_pipe(&seen.id, live.pid, line.as_bytes()),
        _ => {
            let options = AttachContainerOptionsBuilder::default().stdin(true).stream(true).build();
            let typing = async {
                let docker = setup.engine.docker().await?;
                let mut attached = docker.attach_container(&seen.id, Some(options)).await.map_err(Trouble::from)?;
                let unsent = |error: std::io::Error| Trouble::Silent(error.to_string());
                attached.input.write_all(line.as_bytes()).await.map_err(unsent)?;
                attached.input.flush().await.map_err(unsent)
            };
            Ok(timeout(TYPING, typing).await.unwrap_or_else(|_| Err(Trouble::Silent("no answer".to_owned())))?)
        }
    }
}

/// Writes a line, whole or not at all (pipe(7): at most `PIPE_BUF` bytes), to the standard input of the container's first
/// process, and never waits.
fn type_into_pipe(container: &str, pid: i32, line: &[u8]) -> Result<(), ConsoleError> {
    if !is_of(container, pid) {
        return Err(ConsoleError::NotRunning);
    }
    let wrong = |error: std::io::Error| ConsoleError::Unavailable(format!("the input of the container: {error}"));
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = std::os::unix::fs::OpenOptionsExt::custom_flags(OpenOptions::new().write(true), flags)
        .open(format!("/proc/{pid}/fd/0"));
    let mut pipe = opened.map_err(wrong)?;
    if !pipe.metadata().map_err(wrong)?.file_type().is_fifo() {
        return Err(ConsoleError::NoWay);
    }
    match pipe.write(line) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => Err(ConsoleError::Busy),
        Err(error) => Err(wrong(error)),
    }
}

/// Checks whether a process is the first one of the container: it may have ended, and another one may have its number. The
/// parent is Podman's monitor of the container. A container of a rootless engine may have no cgroup of its own.
fn is_of(container: &str, pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default().trim().to_owned();
    let command = std::fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
    command.split(|byte| *byte == 0).any(|argument| argument == container.as_bytes())
}

impl From<Trouble> for ConsoleError {
    fn from(trouble: Trouble) -> Self {
        agis_servers::host::HostError::from(trouble).into()
    }
}
