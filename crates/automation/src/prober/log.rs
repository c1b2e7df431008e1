//! Counts players by the lines of consoles.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agis_base::{ServerId, Timestamp};
use agis_servers::{
    console::{Begin, Console, ConsoleError, Line, Position},
    game::LogQuery,
    host::Generation,
    players::{Players, Unanswered},
    store::Probe,
};

/// Maximum number of lines that are read at once.
const LINES: u32 = 1000;
/// Time for reading, after which the rest waits for the next probe. It is shorter than the deadline of the probe.
const READING: Duration = Duration::from_millis(1500);
/// Time before a run is known as ready, from which its lines count: the first players may be that fast.
const EARLY: Duration = Duration::from_secs(10);
/// Age at which a console is forgotten that nobody asked for: another process follows it, or its server has ended.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// Maximum number of players of a server. A console that names more is no list of players.
const PLAYERS_MAX: usize = 10_000;

/// Consoles that are followed.
#[derive(Default)]
pub(super) struct LogCounts(Mutex<HashMap<ServerId, Followed>>);

/// Console of a run, up to a position.
struct Followed {
    generation: Generation,
    begin: Begin,
    /// Names of the players, by that which tells one from another.
    players: BTreeMap<String, String>,
    used: Instant,
}

impl LogCounts {
    /// Reads what the console has had to say since the last probe.
    pub(super) async fn count(
        &self,
        console: &dyn Console,
        query: &LogQuery,
        probe: &Probe,
    ) -> Result<Players, Unanswered> {
        let known = self.followed().remove(&probe.server).filter(|known| known.generation == probe.generation);
        let mut followed = match known {
            Some(known) => known,
            None => begin(console, probe).await?,
        };
        let is_whole = followed.read(console, query, probe.server).await?;
        let names: Vec<_> = followed.players.values().cloned().collect();
        followed.used = Instant::now();
        let mut all = self.followed();
        all.retain(|_, other| other.used.elapsed() < FORGOTTEN);
        all.insert(probe.server, followed);
        if !is_whole {
            return Err(Unanswered("its console is long, and is still being read".to_owned()));
        }
        Ok(Players::new(u32::try_from(names.len()).unwrap_or(u32::MAX), None, Some(names)))
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<ServerId, Followed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to follow the console of a run.
async fn begin(console: &dyn Console, probe: &Probe) -> Result<Followed, Unanswered> {
    let ready = probe.ready_at.ok_or_else(|| Unanswered("nobody knows when its run began".to_owned()))?;
    let all = Begin::Recent { tail: None, since: None };
    let oldest = console.lines(probe.server, &all, 1).await.map_err(unread)?.lines.first().map(|line| line.at);
    if oldest.is_some_and(|oldest| oldest > ready) {
        return Err(unfollowable());
    }
    let since: Timestamp = ready - EARLY;
    let begin = Begin::Recent { tail: None, since: Some(since) };
    Ok(Followed { generation: probe.generation, begin, players: BTreeMap::new(), used: Instant::now() })
}

impl Followed {
    /// Reads on, and returns whether the end was reached.
    async fn read(&mut self, console: &dyn Console, query: &LogQuery, server: ServerId) -> Result<bool, Unanswered> {
        let began = Instant::now();
        while began.elapsed() < READING {
            let piece = console.lines(server, &self.begin, LINES).await.map_err(unread)?;
            if piece.lost && matches!(self.begin, Begin::Behind(_)) {
                return Err(unfollowable());
            }
            piece.lines.iter().for_each(|line| self.hear(query, line));
            if self.players.len() > PLAYERS_MAX {
                return Err(Unanswered("its console names too many players".to_owned()));
            }
            self.begin = Begin::Behind(Position::new(piece.end.as_str()));
            if !piece.more {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn hear(&mut self, query: &LogQuery, line: &Line) {
        if let Some(player) = query.join.group(&line.text) {
            let name = query.join.second_group(&line.text).unwrap_or(player);
            self.players.insert(player.to_owned(), name.to_owned());
        } else if let Some(player) = query.leave.group(&line.text) {
            self.players.remove(player);
        }
    }
}

fn unread(error: ConsoleError) -> Unanswered {
    Unanswered(error.to_string())
}

fn unfollowable() -> Unanswered {
    Unanswered("its console no longer holds the beginning of the run".to_owned())
}
