//! Requests and their answers.

use std::{fmt, sync::Arc};

use agis_base::UserId;
use ring::digest::{Context, SHA256};

/// Request that its caller named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Key as stored: user, purpose, and the caller's own name for the request.
    pub key: Arc<str>,
    /// User who asks.
    pub user: UserId,
    /// Digest of everything else that identifies the request.
    pub fingerprint: Fingerprint,
}

/// SHA-256 digest of the parts that two requests of one key must share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Digests these parts in this order. The end of one part is never taken for the beginning of the next.
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

    /// Returns the bytes of the digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

/// Answer to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// Media type of the body.
    pub content_type: Option<String>,
    /// `Location` of the created resource.
    pub location: Option<String>,
    /// Body of at most [`Reply::BODY_MAX`] bytes.
    pub body: Vec<u8>,
}

impl Reply {
    /// Maximum size of a stored body, in bytes. Larger answers are not stored.
    pub const BODY_MAX: usize = 64 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cut_elsewhere_are_another_request() {
        let one = Fingerprint::of(&[b"a=1", b"{}"]);
        assert_eq!(one, Fingerprint::of(&[b"a=1", b"{}"]));
        for other in [[b"a=1{".as_slice(), b"}"], [b"", b"a=1{}"], [b"{}", b"a=1"]] {
            assert_ne!(one, Fingerprint::of(&other));
        }
    }
}
