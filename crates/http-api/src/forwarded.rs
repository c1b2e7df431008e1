//! Finds proxies that are missing in `TRUSTED_PROXIES`. All requests through such a proxy seem to come from its address
//! and share the limits of that address.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{
    dev::ServiceRequest,
    http::header::{FORWARDED, HeaderName},
};
use agis_apikeys::Block;

const HEADERS: [HeaderName; 2] = [HeaderName::from_static("x-forwarded-for"), FORWARDED];
/// Peers that are remembered.
const PEERS_MAX: usize = 16;

/// The untrusted peers that sent a header of proxies, and their numbers of requests. Any client can send such a header,
/// so the peers are reported and nothing else changes.
///
/// A new peer takes the place and the number of the peer with the fewest requests. So a peer that sends more than a
/// sixteenth of these requests is always listed, however many strangers send the rest.
#[derive(Debug, Clone, Default)]
pub struct Unnamed(Arc<Mutex<HashMap<IpAddr, u64>>>);

impl Unnamed {
    /// Returns their addresses, the one with the most requests first.
    pub fn peers(&self) -> Vec<IpAddr> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut peers: Vec<_> = seen.into_iter().collect();
        peers.sort_by_key(|(peer, requests)| (Reverse(*requests), *peer));
        peers.into_iter().map(|(peer, _)| peer).collect()
    }

    /// Counts the request if it came through a proxy that is not among `trusted`.
    pub(crate) fn notice(&self, request: &ServiceRequest, trusted: &[Block]) {
        if !HEADERS.iter().any(|name| request.headers().contains_key(name)) {
            return;
        }
        let Some(peer) = request.peer_addr().map(|peer| peer.ip().to_canonical()) else { return };
        if !trusted.iter().any(|block| block.contains(peer)) && self.count(peer) {
            tracing::warn!(%peer, "request came through a proxy that is not in TRUSTED_PROXIES");
        }
    }

    /// Counts a request, and tells whether to log the peer. The log must not grow with the number of strangers.
    fn count(&self, peer: IpAddr) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = seen.get_mut(&peer) {
            *requests += 1;
            return false;
        }
        let is_full = seen.len() >= PEERS_MAX;
        let fewest = seen.iter().min_by_key(|(_, requests)| **requests).map(|(peer, requests)| (*peer, *requests));
        let before = fewest.filter(|_| is_full).map_or(0, |(fewest, requests)| {
            seen.remove(&fewest);
            requests
        });
        seen.insert(peer, before + 1);
        !is_full
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn strangers_hide_no_proxy_and_fill_no_log() {
        let unnamed = Unnamed::default();
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let mut told = 0;
        for stranger in 0..10_000_u32 {
            told += usize::from(unnamed.count(Ipv4Addr::from_bits(0xc000_0000 + stranger).into()));
            if stranger % 10 == 9 {
                told += usize::from(unnamed.count(proxy));
            }
        }
        assert_eq!((told, unnamed.peers().len()), (PEERS_MAX, PEERS_MAX));
        assert_eq!(unnamed.peers()[0], proxy);
    }

    #[test]
    fn proxy_is_told_beside_an_earlier_stranger() {
        let unnamed = Unnamed::default();
        let (stranger, proxy) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([10, 0, 0, 1]));
        assert!(unnamed.count(stranger));
        assert!(unnamed.count(proxy));
        assert!(!unnamed.count(proxy));
        assert_eq!(unnamed.peers(), [proxy, stranger]);
    }
}
