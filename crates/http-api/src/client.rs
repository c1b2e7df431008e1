//! From where a request comes: the peer of its connection, or what proxies that are trusted say of it.

use std::net::{IpAddr, SocketAddr};

use actix_web::dev::ServiceRequest;
use agis_apikeys::Block;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address; none on a socket that has none.
pub(crate) fn address(request: &ServiceRequest, trusted: &[Block]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let hops = request.headers().get_all(FORWARDED_FOR).map(|value| value.to_str().unwrap_or_default());
    let hops: Vec<_> = hops.flat_map(|value| value.split(',')).collect();
    Some(behind(peer, &hops, trusted))
}

/// Each proxy appends the address that it was asked from. What stands there counts as far as those who wrote it are
/// trusted, so it is read from the end; a client can write what it likes at the beginning.
fn behind(peer: IpAddr, hops: &[&str], trusted: &[Block]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        if !trusted.iter().any(|block| block.contains(client)) {
            break;
        }
        let Some(address) = read(hop.trim()) else { break };
        client = address;
    }
    client
}

/// An address, with or without a port; some proxies write one.
fn read(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']').parse();
    let address = bare.or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_wrote_counts() {
        let table: &[(&str, &str, &str, &str)] = &[
            ("nobody is trusted", "", "198.51.100.9", "203.0.113.1"),
            ("one proxy", "203.0.113.1", "198.51.100.9", "198.51.100.9"),
            ("a client writes its own", "203.0.113.1", "10.0.0.1, 198.51.100.9", "198.51.100.9"),
            ("two proxies", "203.0.113.0/24 10.0.0.0/8", "192.0.2.66, 198.51.100.9, 10.1.1.1", "198.51.100.9"),
            ("nothing was written", "203.0.113.1", "", "203.0.113.1"),
            ("a port", "203.0.113.1", "198.51.100.9:4711", "198.51.100.9"),
            ("IPv6", "203.0.113.1", "[2001:db8::9]:4711", "2001:db8::9"),
            ("IPv6 without a port", "203.0.113.1", "2001:db8::9", "2001:db8::9"),
            ("IPv4 over IPv6", "203.0.113.1", "::ffff:198.51.100.9", "198.51.100.9"),
            ("garbage", "203.0.113.1", "198.51.100.9, unknown", "203.0.113.1"),
            ("all are proxies", "0.0.0.0/0", "198.51.100.9, 10.0.0.1", "198.51.100.9"),
        ];
        for (what, trusted, header, expected) in table {
            let trusted: Vec<Block> = trusted.split_whitespace().map(|it| it.parse().expect("a block")).collect();
            let hops: Vec<_> = header.split(',').collect();
            let found = behind("203.0.113.1".parse().expect("an address"), &hops, &trusted);
            assert_eq!(found.to_string(), *expected, "{what}");
        }
    }
}
