//! A key as it is known after its creation.

use agis_base::{KeyId, Timestamp, UserId};

use crate::grant::Grant;

/// A key as it is known after its creation: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is, and in whose name it acts.
    pub owner: UserId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub grant: Grant,
    /// Whose tokens it takes: its own id, or where it came from by rotation, that of the first.
    pub bucket: i32,
    /// On whose buckets it draws beside that; empty where a person made it.
    pub makers: Vec<Maker>,
    /// The key that took its place by rotation.
    pub replaced_by: Option<KeyId>,
    /// When it was last used, to within the flush interval.
    pub last_used: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A bucket that is shared with a key which gave requests, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker {
    /// As in [`ApiKey::bucket`].
    pub bucket: i32,
    /// Requests per hour. It follows the limit of that key while there is one.
    pub limit: u32,
}

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It can.
    Active,
    /// It has ended.
    Expired,
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 2] = [Self::Active, Self::Expired];

    /// The word that REST uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}
