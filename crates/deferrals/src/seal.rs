//! Seals tokens of answers, so that a reader of the database cannot answer.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
    rand::{SecureRandom, SystemRandom},
};

/// Salt of this use. Keys for other uses of the same secret would have another one.
const SALT: &[u8] = b"agis deferrals 1";
const ID_BYTES: usize = 8;

/// Token of an answer. Everybody who has it can answer, so this type cannot be printed or compared.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Wraps a token.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text, to answer with.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Token that is useless without the secret that sealed it: a nonce, and the output of AES-256-GCM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

/// Seals and opens tokens, by a key that HKDF-SHA256 (RFC 5869) derives from a secret that every process has.
pub struct Seal {
    key: LessSafeKey,
    id: Vec<u8>,
}

impl Seal {
    /// Derives the seal of this secret; `None` if the cryptography refuses, which it never does for these lengths.
    pub fn of(secret: &str) -> Option<Self> {
        let secret = Salt::new(HKDF_SHA256, SALT).extract(secret.as_bytes());
        Some(Self { key: key(&secret)?, id: id(&secret)? })
    }

    /// Returns the id of rows of this secret; it tells nothing of the secret.
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// Seals a token for this use alone; `None` if the system gives no randomness.
    pub fn seal(&self, token: &Token, used_for: &str) -> Option<Sealed> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut bytes = token.0.clone().into_bytes();
        let about = Aad::from(used_for.as_bytes());
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), about, &mut bytes).ok()?;
        Some(Sealed([&nonce[..], &bytes].concat()))
    }

    /// Opens a token; `None` unless this secret has sealed it for this use.
    pub fn open(&self, sealed: &Sealed, used_for: &str) -> Option<Token> {
        let (nonce, bytes) = sealed.0.split_at_checked(NONCE_LEN)?;
        let (nonce, mut bytes) = (Nonce::try_assume_unique_for_key(nonce).ok()?, bytes.to_vec());
        let text = self.key.open_in_place(nonce, Aad::from(used_for.as_bytes()), &mut bytes).ok()?;
        String::from_utf8(text.to_vec()).ok().map(Token)
    }
}

fn key(secret: &Prk) -> Option<LessSafeKey> {
    let key = secret.expand(&[b"key"], &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(key)))
}

fn id(secret: &Prk) -> Option<Vec<u8>> {
    let mut id = [0; 32];
    secret.expand(&[b"id"], HKDF_SHA256).ok()?.fill(&mut id).ok()?;
    Some(id[..ID_BYTES].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(secret: &str) -> Seal {
        Seal::of(secret).expect("a seal")
    }

    fn sealed(text: &str) -> Sealed {
        seal("secret").seal(&Token::new(text.to_owned()), "this").expect("randomness")
    }

    #[test]
    fn token_opens_for_its_secret_and_use_only() {
        let sealed = sealed("token");
        let opened = |secret: &str, used_for: &str| Some(seal(secret).open(&sealed, used_for)?.reveal().to_owned());
        assert_eq!(opened("secret", "this").as_deref(), Some("token"));
        assert_eq!((opened("secret", "that"), opened("another", "this")), (None, None));
    }

    #[test]
    fn sealed_text_is_unreadable_and_unique() {
        let sealed = [sealed("a token of some length"), sealed("a token of some length")];
        assert_ne!(sealed[0], sealed[1]);
        let readable = |sealed: &Sealed| {
            sealed.0.windows(5).any(|bytes| b"a token of some length".windows(5).any(|own| own == bytes))
        };
        assert!(!sealed.iter().any(readable));
    }

    #[test]
    fn changed_or_cut_seal_does_not_open() {
        let whole = sealed("token");
        for length in 0..whole.0.len() {
            assert!(seal("secret").open(&Sealed(whole.0[..length].to_vec()), "this").is_none(), "{length}");
        }
        for place in 0..whole.0.len() {
            let mut changed = whole.clone();
            changed.0[place] ^= 1;
            assert!(seal("secret").open(&changed, "this").is_none(), "{place}");
        }
    }

    #[test]
    fn each_secret_seals_and_prints_no_token() {
        assert_eq!(seal("secret").id(), seal("secret").id());
        assert_ne!(seal("secret").id(), seal("another").id());
        assert_eq!(format!("{:?}", Token::new("token".to_owned())), "Token(…)");
    }
}
