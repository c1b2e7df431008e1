//! Finds the client's address: the peer of the connection, or the address that a trusted proxy names.

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use agis_apikeys::Block;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Returns the client's address. `None` on a socket without a peer, and where a trusted proxy wrote something that is
/// no address: the proxy's own address must not be taken for the client's.
pub(crate) fn address(request: &ServiceRequest, trusted: &[Block]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let values: Vec<_> = request.headers().get_all(FORWARDED_FOR).map(|value| value.as_bytes()).collect();
    behind(peer, &values, trusted)
}

/// Reads the hops of all header lines from the end. Each proxy appends the address of its peer, so a hop counts only
/// while all hops behind it are trusted. A client can write anything, in any encoding, at the beginning. Empty list
/// members are ignored (RFC 9110, section 5.6.1).
fn behind(peer: IpAddr, values: &[&[u8]], trusted: &[Block]) -> Option<IpAddr> {
    let hops = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    let mut client = peer;
    for hop in hops.map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty()) {
        if !trusted.iter().any(|block| block.contains(client)) {
            break;
        }
        client = read(hop)?;
    }
    Some(client)
}

/// Parses an address as proxies write it: with or without a port, IPv6 bare or in brackets, with or without a zone (RFC
/// 6874; a zone has a meaning on the proxy alone).
fn read(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?;
    let (address, rest) = match hop.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None if hop.matches(':').count() == 1 => hop.split_at(hop.find(':')?),
        None => (hop, ""),
    };
    if !rest.is_empty() {
        rest.strip_prefix(':')?.parse::<u16>().ok()?;
    }
    let bare = match address.split_once('%') {
        Some((bare, zone)) if bare.contains(':') && !zone.is_empty() => bare,
        Some(_) => return None,
        None => address,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_count() {
        type Case<'a> = (&'a str, &'a str, &'a [&'a [u8]], Option<&'a str>);
        let ours = "203.0.113.1";
        let table: &[Case<'_>] = &[
            ("nobody is trusted", "", &[b"198.51.100.9"], Some(ours)),
            ("one proxy", ours, &[b"198.51.100.9"], Some("198.51.100.9")),
            ("a client writes its own", ours, &[b"10.0.0.1, 198.51.100.9"], Some("198.51.100.9")),
            ("a client writes no text", ours, &[b"\xff\xfe, 198.51.100.9"], Some("198.51.100.9")),
            (
                "two proxies",
                "203.0.113.0/24 10.0.0.0/8",
                &[b"192.0.2.66, 198.51.100.9, 10.1.1.1"],
                Some("198.51.100.9"),
            ),
            ("several lines", ours, &[b"10.0.0.1", b"\xe9", b"192.0.2.66, 198.51.100.9"], Some("198.51.100.9")),
            ("an empty last line", ours, &[b"198.51.100.9", b""], Some("198.51.100.9")),
            ("empty members", ours, &[b"192.0.2.66,, 198.51.100.9 , ,"], Some("198.51.100.9")),
            ("nothing was written", ours, &[b""], Some(ours)),
            ("a port", ours, &[b"198.51.100.9:4711"], Some("198.51.100.9")),
            ("no port", ours, &[b"198.51.100.9:"], None),
            ("IPv6 with a port", ours, &[b"[2001:db8::9]:4711"], Some("2001:db8::9")),
            ("IPv6 in brackets", ours, &[b"[2001:db8::9]"], Some("2001:db8::9")),
            ("IPv6 bare", ours, &[b"2001:db8::9"], Some("2001:db8::9")),
            ("IPv6 with a zone", ours, &[b"fe80::9%eth0"], Some("fe80::9")),
            ("IPv6 with a zone and a port", ours, &[b"[fe80::9%25eth0]:80"], Some("fe80::9")),
            ("IPv4 over IPv6", ours, &[b"::ffff:198.51.100.9"], Some("198.51.100.9")),
            ("unknown", ours, &[b"198.51.100.9, unknown"], None),
            ("no text", ours, &[b"198.51.100.9, caf\xc3\xa9"], None),
            ("a broken byte", ours, &[b"198.51.100.9\xff"], None),
            ("half a bracket", ours, &[b"[2001:db8::9"], None),
            ("all are proxies", "0.0.0.0/0", &[b"198.51.100.9, 10.0.0.1"], Some("198.51.100.9")),
        ];
        for (what, trusted, header, expected) in table {
            let trusted: Vec<Block> = trusted.split_whitespace().map(|it| it.parse().expect("a block")).collect();
            let found = behind(ours.parse().expect("an address"), header, &trusted);
            assert_eq!(found.map(|it| it.to_string()).as_deref(), *expected, "{what}");
        }
    }
}
