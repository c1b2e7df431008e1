use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};

use crate::error::{Error, Result};

const LOWEST: u16 = 15_000;
const TRIES: u32 = 200;

/// A free port on localhost, and not one of those that the kernel gives to outgoing connections: while the server
/// restarts, a client that keeps trying could else be given the server's own port, and meet itself.
pub(crate) fn free() -> Result<u16> {
    let span = u64::from(first_ephemeral().saturating_sub(LOWEST).max(1_000));
    (0..TRIES)
        .map(|_| LOWEST.saturating_add(u16::try_from(random() % span).unwrap_or_default()))
        .find(|port| is_free(*port))
        .ok_or_else(|| Error::new("found no free port on 127.0.0.1"))
}

pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn first_ephemeral() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32_768)
}

/// Spreads parallel starts over the range; nothing secret.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
