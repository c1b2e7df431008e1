//! Addresses from which a key can be used.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use thiserror::Error;

/// Block of addresses in CIDR notation (RFC 4632, RFC 4291): `203.0.113.0/24`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(IpNet);

/// Error: a text is not a block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not an address or a block of addresses; use for example 203.0.113.7 or 203.0.113.0/24")]
pub struct InvalidBlock(String);

/// Blocks of addresses from which a key can be used. No block allows every address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blocks(Vec<Block>);

impl FromStr for Block {
    type Err = InvalidBlock;

    fn from_str(text: &str) -> Result<Self, InvalidBlock> {
        let one = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        // The bits behind the prefix mean nothing and are dropped.
        text.parse::<IpNet>()
            .map(|net| net.trunc())
            .or_else(|_| one())
            .map(Self)
            .map_err(|_| InvalidBlock(text.chars().take(50).collect()))
    }
}

impl Block {
    /// Checks whether the block contains the address. An IPv4 address that came over IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl Blocks {
    /// Checks whether a key can be used from this address. A caller without a known address passes only if there is no
    /// block.
    pub fn allow(&self, address: Option<IpAddr>) -> bool {
        self.0.is_empty() || address.is_some_and(|address| self.0.iter().any(|block| block.contains(address)))
    }

    /// Checks whether `wider` allows every address that these blocks allow.
    pub fn are_within(&self, wider: &Self) -> bool {
        let inside = |block: &Block| wider.0.iter().any(|outer| outer.0.contains(&block.0));
        wider.0.is_empty() || (!self.0.is_empty() && self.0.iter().all(inside))
    }

    /// Returns the number of blocks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Checks whether there is no block. No block allows every address.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the blocks.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.0.iter()
    }
}

impl FromIterator<Block> for Blocks {
    fn from_iter<I: IntoIterator<Item = Block>>(blocks: I) -> Self {
        let mut blocks: Vec<_> = blocks.into_iter().collect();
        blocks.sort_unstable();
        blocks.dedup();
        Self(blocks)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(words: &str) -> Blocks {
        words.split_whitespace().map(|word| word.parse::<Block>().expect("a block")).collect()
    }

    #[test]
    fn address_is_allowed_by_a_block_or_none() {
        let table = [
            ("", "203.0.113.7", true),
            ("203.0.113.0/24", "203.0.113.7", true),
            ("203.0.113.0/24", "203.0.114.7", false),
            ("203.0.113.0/24 2001:db8::/32", "2001:db8::1", true),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("203.0.113.0/24", "::ffff:203.0.113.7", true),
            ("::/0", "203.0.113.7", false),
            ("", "unknown", true),
            ("203.0.113.0/24", "unknown", false),
            ("0.0.0.0/0", "unknown", false),
            ("0.0.0.0/0 ::/0", "unknown", false),
        ];
        for (held, address, allowed) in table {
            assert_eq!(blocks(held).allow(address.parse().ok()), allowed, "{address} in {held}");
        }
    }

    #[test]
    fn within_means_no_address_more() {
        let table = [
            ("", "", true),
            ("10.0.0.0/8", "", true),
            ("", "10.0.0.0/8", false),
            ("10.1.0.0/16 10.2.0.1", "10.0.0.0/8", true),
            ("10.1.0.0/16 11.0.0.1", "10.0.0.0/8", false),
            ("10.0.0.0/7", "10.0.0.0/8", false),
        ];
        for (narrow, wide, within) in table {
            assert_eq!(blocks(narrow).are_within(&blocks(wide)), within, "{narrow} within {wide}");
        }
    }

    #[test]
    fn a_block_is_written_one_way() {
        let table = [("10.1.2.3/8", "10.0.0.0/8"), ("10.1.2.3/32", "10.1.2.3"), ("2001:DB8::1/128", "2001:db8::1")];
        for (text, written) in table {
            assert_eq!(text.parse::<Block>().expect("a block").to_string(), written);
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.1/ 8", "10.0.0.1:80", "/8"] {
            assert!(text.parse::<Block>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[0-9a-f:./]{0,24}|.{0,12}") {
            if let Ok(block) = text.parse::<Block>() {
                prop_assert_eq!(block.to_string().parse::<Block>(), Ok(block));
            }
        }
    }
}
