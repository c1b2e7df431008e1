//! What was asked, and what was answered.

use std::{fmt, sync::Arc};

use agis_base::UserId;
use ring::digest::{Context, SHA256};

/// A request that its caller named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The key as it is stored: whose, for what, and the caller's own name for it.
    pub key: Arc<str>,
    /// Who asks.
    pub user: UserId,
    /// What else makes it this request and no other.
    pub fingerprint: Fingerprint,
}

/// The SHA-256 digest of what two requests of one key must have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of these parts in this order. What stands at the end of one is not taken for the beginning of the next.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

/// An answer to be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// Where the thing that was made is found.
    pub location: Option<String>,
    /// The body, at most [`Reply::BODY_MAX`] bytes.
    pub body: Vec<u8>,
}

impl Reply {
    /// What is larger is not kept, in bytes.
    pub const BODY_MAX: usize = 64 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_cut_elsewhere_are_another_request() {
        let one = Fingerprint::of(&[b"a=1", b"{}"]);
        assert_eq!(one, Fingerprint::of(&[b"a=1", b"{}"]));
        for other in [[b"a=1{".as_slice(), b"}"], [b"", b"a=1{}"], [b"{}", b"a=1"]] {
            assert_ne!(one, Fingerprint::of(&other));
        }
    }
}
