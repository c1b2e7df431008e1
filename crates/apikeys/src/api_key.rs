//! API key as AGIS knows it after its creation.

use agis_base::{KeyId, Timestamp, UserId};

use crate::grant::Grant;

/// API key as AGIS knows it after its creation: everything but the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Id of the key.
    pub id: KeyId,
    /// User who owns the key, and for whom it acts.
    pub owner: UserId,
    /// Name that the owner gave it.
    pub name: String,
    /// Rights of the key.
    pub grant: Grant,
    /// Bucket from which the key takes tokens first: the id of the first key of its line of rotations.
    pub bucket: i32,
    /// Makers on whose buckets the key draws too; empty if a person made it.
    pub makers: Vec<Maker>,
    /// Key that replaced it by rotation; `None` if none did.
    pub replaced_by: Option<KeyId>,
    /// Time of the last use, to within the flush interval; `None` for no use.
    pub last_used: Option<Timestamp>,
    /// Time of the creation.
    pub created_at: Timestamp,
}

/// Bucket of a key that gave requests to another one, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker {
    /// Bucket, as in [`ApiKey::bucket`].
    pub bucket: i32,
    /// Limit in requests per hour. It follows the limit of the maker for as long as the maker exists.
    pub limit: u32,
}

/// State of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// The key can be used.
    Active,
    /// The key has ended.
    Expired,
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 2] = [Self::Active, Self::Expired];

    /// Returns the word that the REST API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}
