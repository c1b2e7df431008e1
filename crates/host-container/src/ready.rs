//! Checks whether players can join a running container.

use agis_machine::ready::is_open_to;
use agis_servers::{
    console::{Begin, Position, stamped},
    game::{Protocol, ReadyWhen, is_sign},
    host::HostError,
};
use chrono::Utc;

use crate::{
    console,
    host::Setup,
    record::Run,
    seen::{Live, Seen},
};

/// Pieces of the console that one look reads.
const PIECES: usize = 4;
/// Lines that one look reads.
const LINES: u32 = 5000;

/// Watch for the sign of a run.
#[derive(Debug, Default)]
pub(crate) struct Sign {
    /// Place up to which the console was read.
    read: Option<Position>,
}

impl Sign {
    /// Checks whether the sign has come.
    pub(crate) async fn has_come(
        &mut self,
        setup: &Setup,
        run: &Run,
        seen: &Seen,
        live: &Live,
    ) -> Result<bool, HostError> {
        Ok(match &run.ready.when {
            ReadyWhen::Log(sign) => self.read_on(setup, seen, sign).await?,
            ReadyWhen::Port => {
                let protocol = run.ports.first().and_then(|port| port.protocol).unwrap_or(Protocol::Tcp);
                is_open_to(live.pid, run.inner_port, protocol)
            }
            ReadyWhen::Delay(seconds) => (Utc::now() - live.since).num_seconds() >= i64::from(*seconds),
            ReadyWhen::Health => live.is_healthy,
            // The catalogue allows these on Agones only.
            ReadyWhen::Ready | ReadyWhen::Pod => false,
        })
    }

    /// Reads some pieces of the console. A game may write faster than they are read, and the deadline counts.
    async fn read_on(&mut self, setup: &Setup, seen: &Seen, sign: &str) -> Result<bool, HostError> {
        for _ in 0..PIECES {
            let begin = match &self.read {
                Some(position) => Begin::Behind(position.clone()),
                None => Begin::Recent { tail: None, since: None },
            };
            let piece = console::lines(setup, seen.server, &begin, LINES)
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
