//! Signs of readiness of which neither Agones nor the pod knows: AGIS itself reads the console, or waits. They come after the
//! pod is ready.

use std::time::{Duration, Instant};

use agis_servers::{
    console::{Begin, Position, stamped},
    game::{ReadyWhen, is_sign},
    host::HostError,
};

use crate::{cluster::Cluster, console, gameserver::GameServer};

/// Time between two looks.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// Pieces of the console that one look reads, and lines of a piece.
const PIECES: usize = 4;
const LINES: u32 = 5000;

/// Watch for the sign of a run.
pub(crate) struct Sign<'a> {
    when: &'a ReadyWhen,
    /// Place up to which the console was read.
    read: Option<Position>,
    /// First look at a ready pod.
    since: Option<Instant>,
}

impl<'a> Sign<'a> {
    pub(crate) fn of(when: &'a ReadyWhen) -> Self {
        Self { when, read: None, since: None }
    }

    /// Checks whether the sign has come. The pod is ready.
    pub(crate) async fn has_come(&mut self, cluster: &Cluster, gameserver: &GameServer) -> Result<bool, HostError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        match self.when {
            ReadyWhen::Log(sign) => self.read_on(cluster, gameserver, sign).await,
            ReadyWhen::Delay(seconds) => Ok(since.elapsed() >= Duration::from_secs((*seconds).into())),
            ReadyWhen::Port | ReadyWhen::Health | ReadyWhen::Ready | ReadyWhen::Pod => Ok(true),
        }
    }

    async fn read_on(&mut self, cluster: &Cluster, gameserver: &GameServer, sign: &str) -> Result<bool, HostError> {
        for _ in 0..PIECES {
            let begin = match &self.read {
                Some(position) => Begin::Behind(position.clone()),
                None => Begin::Recent { tail: None, since: None },
            };
            let piece = console::lines(cluster, Some(gameserver), &begin, LINES)
                .await
                .map_err(|error| HostError::Unavailable(error.to_string()))?;
            if piece.lines.iter().any(|line| is_sign(&line.text, sign)) {
                return Ok(true);
            }
            // The rest of an unfinished line may hold the rest of the sign.
            self.read = stamped::behind_whole_lines(&piece).cloned().or(self.read.take());
            if !piece.more {
                break;
            }
        }
        Ok(false)
    }
}
