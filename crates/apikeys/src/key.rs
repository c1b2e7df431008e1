//! API key, which cannot be printed, and its digest.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use thiserror::Error;

/// Beginning of every key. Secret scanners and people recognise keys by it.
pub const PREFIX: &str = "agis_";

const RANDOM_BYTES: usize = 32;
const ENCODED_CHARS: usize = 44;

/// API key: `agis_` and the padded URL-safe base64 (RFC 4648, section 5) of 32 random bytes.
///
/// [`Key::reveal`] shows it once. Nothing else prints or compares it. The store holds its [`Digest`].
pub struct Key(String);

/// Error: a text does not have the form of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an API key is 'agis_' and 44 characters of URL-safe base64")]
pub struct Malformed;

/// Error: the system's random source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the system's random source failed")]
pub struct NoRandomness;

impl Key {
    /// Generates a key from the system's random source.
    ///
    /// # Errors
    /// Fails if that source does.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE.encode(bytes))))
    }

    /// Reads a key that a caller presents, and checks its form only.
    ///
    /// # Errors
    /// Fails if the text does not have the form of a key.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let encoded = text.strip_prefix(PREFIX).ok_or(Malformed)?;
        if encoded.len() != ENCODED_CHARS {
            return Err(Malformed);
        }
        let mut bytes = [0; RANDOM_BYTES + 1];
        match URL_SAFE.decode_slice(encoded, &mut bytes) {
            Ok(RANDOM_BYTES) => Ok(Self(text.to_owned())),
            _ => Err(Malformed),
        }
    }

    /// Returns the SHA-256 digest of the whole text, prefix included.
    pub fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        Digest(bytes)
    }

    /// Returns the text of the key, which its owner sees once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// SHA-256 digest of a key. The digest opens nothing, and a unique index finds the key by it. The 256 random bits
/// behind it leave nothing to guess from the time that a look-up takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns lower-case hexadecimal, as in `api_keys.key_hash`.
    pub fn to_hex(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
            .collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn new_key_is_readable_and_never_printed() {
        let key = Key::generate().expect("randomness");
        let read = Key::parse(key.reveal()).expect("its own form");
        assert_eq!(key.reveal().len(), 49);
        assert_eq!(read.digest(), key.digest());
        assert_eq!(format!("{key:?} {:?}", key.digest()), "Key(…) Digest(…)");
        assert_ne!(Key::generate().expect("randomness").digest(), key.digest());
    }

    #[test]
    fn the_digest_is_sha_256_of_the_whole_text() {
        // printf %s 'agis_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=' | sha256sum
        let key = Key::parse("agis_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a key");
        assert_eq!(key.digest().to_hex(), "30f0b79592ad6523795ddc5e9467a02fc49a0af10c2e97ab5b78647c820e1416");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "agis_",
            "123456789012345678",
            "agis_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AGIS_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "agis_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "agis_++AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "agis_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", // bits that no byte holds
        ] {
            assert_eq!(Key::parse(text).err(), Some(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,60}") {
            if let Ok(key) = Key::parse(&text) {
                prop_assert_eq!(key.reveal(), text);
            }
        }
    }
}
