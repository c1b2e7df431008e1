//! Ports of the nodes for games that tell their port to others, such as a list of servers: such a game knows its port before
//! it begins, and Agones chooses one only afterwards.
//!
//! Two servers whose starts meet may get the same port. The cluster puts them on different nodes then.

use std::collections::BTreeSet;

use agis_base::ServerId;
use agis_servers::{
    game::{Game, GamePort},
    host::HostError,
};
use serde_json::Value;

use crate::cluster::{Cluster, ask};

/// Places after which the numbers of servers begin anew.
const PLACES: u32 = 50;
/// Ports of the nodes that belong to Kubernetes' Services.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

impl Cluster {
    /// Returns the ports of a server: those of the catalogue, moved upwards by the same distance to numbers that no GameServer
    /// has.
    pub(crate) async fn free_ports(&self, game: &Game, server: ServerId) -> Result<Vec<GamePort>, HostError> {
        let all = ask(self.gameservers.list(&Default::default())).await?;
        let ports = all.iter().flat_map(|it| it.spec["ports"].as_array().into_iter().flatten());
        let taken: BTreeSet<_> = ports.filter_map(|port: &Value| port["hostPort"].as_u64()?.try_into().ok()).collect();
        free(&game.ports, server, &taken).ok_or_else(|| {
            let first = game.port().unwrap_or_default();
            HostError::Unavailable(format!("no ports above {first} are free for this server; they are taken by others"))
        })
    }
}

/// Returns the first free place, from one that depends on the server upwards.
fn free(ports: &[GamePort], server: ServerId, taken: &BTreeSet<u16>) -> Option<Vec<GamePort>> {
    let (least, most) = (ports.iter().map(|it| it.number).min()?, ports.iter().map(|it| it.number).max()?);
    let step = u32::from(most - least) + 1;
    let first = server.0.unsigned_abs() % PLACES;
    (first..=u32::from(u16::MAX) / step).find_map(|place| {
        let moved = |port: &GamePort| {
            let number = u16::try_from(u32::from(port.number) + place * step).ok()?;
            let is_free = !taken.contains(&number) && !NODE_PORTS.contains(&number);
            is_free.then(|| GamePort { number, ..port.clone() })
        };
        ports.iter().map(moved).collect()
    })
}

#[cfg(test)]
mod tests {
    use agis_servers::game::Protocol;

    use super::*;

    fn ports(numbers: [u16; 2]) -> Vec<GamePort> {
        let port = |(name, number): (&str, u16)| GamePort { name: name.to_owned(), number, protocol: Protocol::Udp };
        ["game", "query"].into_iter().zip(numbers).map(port).collect()
    }

    #[test]
    fn free_ports_keep_their_distance() {
        let of =
            |server, taken: &[u16]| free(&ports([29_990, 29_991]), ServerId(server), &taken.iter().copied().collect());
        assert_eq!(of(50, &[]), Some(ports([29_990, 29_991])));
        assert_eq!(of(51, &[]), Some(ports([29_992, 29_993])));
        assert_eq!(of(50, &[29_991, 29_992]), Some(ports([29_994, 29_995])));
        assert_eq!(of(55, &[]), Some(ports([32_768, 32_769])), "Services have those between");
        assert_eq!(free(&ports([65_534, 65_535]), ServerId(1), &BTreeSet::new()), None);
    }
}
