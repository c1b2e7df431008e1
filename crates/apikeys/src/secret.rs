//! Shared secret of an operator.

use std::fmt;

use ring::digest::{SHA256, digest};

/// Shared secret. Only its digest is kept, so nobody can print it, and the time of a comparison tells nothing about its
/// text.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Creates a secret from its text.
    pub fn new(text: &str) -> Self {
        Self(hashed(text))
    }

    /// Checks whether `text` is the secret.
    pub fn is(&self, presented: &str) -> bool {
        self.0 == hashed(presented)
    }
}

fn hashed(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_compares_and_is_never_printed() {
        let secret = Secret::new("open sesame");
        assert!(secret.is("open sesame") && !secret.is("open sesam") && !secret.is(""));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
