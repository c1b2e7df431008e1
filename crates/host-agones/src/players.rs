//! Players that a game has told Agones by its SDK: as the list `players`, as the counter `players`, or by the older tracking of
//! players (agones.dev/site/docs/guides/counters-and-lists and /player-tracking).

use std::collections::BTreeMap;

use agis_servers::players::{Players, Unanswered};
use serde::Deserialize;

use crate::gameserver::GameServer;

/// Name of the list, and of the counter.
const PLAYERS: &str = "players";

/// Part of a GameServer's `status` that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    lists: Option<BTreeMap<String, List>>,
    counters: Option<BTreeMap<String, Counter>>,
    players: Option<Tracked>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct List {
    capacity: i64,
    values: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counter {
    capacity: i64,
    count: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tracked {
    capacity: i64,
    count: i64,
    ids: Option<Vec<String>>,
}

/// Reads the players from the status of a GameServer. A list names all of them.
///
/// # Errors
/// Fails if the game tells Agones nothing of players, or the status is not readable.
pub(crate) fn of(gameserver: &GameServer) -> Result<Players, Unanswered> {
    let status = gameserver.status.clone().unwrap_or_default();
    let status = Option::<Status>::deserialize(status);
    let Status { lists, counters, players } =
        status.map_err(|error| Unanswered(format!("its status is not readable: {error}")))?.unwrap_or_default();
    if let Some(List { capacity, values }) = lists.and_then(|mut lists| lists.remove(PLAYERS)) {
        let names = values.unwrap_or_default();
        return Ok(Players::new(number(names.len()), most(capacity), Some(names)));
    }
    if let Some(Counter { capacity, count }) = counters.and_then(|mut counters| counters.remove(PLAYERS)) {
        return Ok(Players::new(number(count), most(capacity), None));
    }
    let Some(Tracked { capacity, count, ids }) = players else {
        return Err(Unanswered("its GameServer has no list and no counter of the name 'players'".to_owned()));
    };
    let names = ids.filter(|ids| i64::try_from(ids.len()) == Ok(count));
    Ok(Players::new(number(count), most(capacity), names))
}

/// Agones has no counts below zero.
fn number(count: impl TryInto<u64>) -> u32 {
    let count = count.try_into().unwrap_or_default();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns a capacity; `None` if the game has set none.
fn most(capacity: i64) -> Option<u32> {
    (capacity > 0).then(|| number(capacity))
}

#[cfg(test)]
mod tests {
    use kube::core::{ApiResource, Object};
    use serde_json::{Value, json};

    use super::*;
    use crate::gameserver;

    fn told(status: Value) -> Result<Players, Unanswered> {
        let resource: ApiResource = gameserver::resource();
        let gameserver = Object::new("a", &resource, Value::Null);
        of(&GameServer { status: Some(status), ..gameserver })
    }

    fn players(online: u32, max: Option<u32>, names: Option<&[&str]>) -> Result<Players, Unanswered> {
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Ok(Players { online, max, names })
    }

    #[test]
    fn status_tells_who_plays() {
        let list = json!({ "capacity": 16, "values": ["Ann", "Bob\u{1b}[1m"] });
        let counter = json!({ "capacity": 8, "count": 3 });
        let tracked = json!({ "capacity": 4, "count": 1, "ids": ["Cid"] });
        for (status, expected) in [
            (
                json!({ "lists": { "players": list, "rooms": {} }, "counters": { "players": counter }, "players": tracked }),
                players(2, Some(16), Some(&["Ann", "Bob[1m"])),
            ),
            (json!({ "lists": { "players": { "capacity": 0, "values": null } } }), players(0, None, Some(&[]))),
            (json!({ "lists": {}, "counters": { "players": counter }, "players": tracked }), players(3, Some(8), None)),
            (json!({ "lists": null, "counters": null, "players": tracked }), players(1, Some(4), Some(&["Cid"]))),
            (json!({ "players": { "count": 2, "ids": ["Cid"] } }), players(2, None, None)),
            (
                json!({ "counters": { "players": { "count": -7, "capacity": i64::MAX } } }),
                players(0, Some(1_000_000), None),
            ),
        ] {
            assert_eq!(told(status.clone()), expected, "{status}");
        }
        for status in [
            json!(null),
            json!({ "state": "Ready" }),
            json!({ "players": null, "lists": { "rooms": list }, "counters": { "rooms": counter } }),
            json!({ "lists": { "players": 7 } }),
            json!("text"),
        ] {
            assert!(told(status.clone()).is_err(), "unknown is not zero: {status}");
        }
    }
}
