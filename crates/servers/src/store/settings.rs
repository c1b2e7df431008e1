use agis_base::{ServerId, StoreError, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::{
    game::{SettingValue, SettingValues},
    server::Server,
};

/// Maximum size of the values of a server's settings, in bytes of JSON. Those of an earlier catalogue count.
pub const SETTINGS_BYTES: usize = 256 * 1024;

/// Settings of servers.
#[async_trait]
pub trait SettingStore: Send + Sync {
    /// Returns the settings of a server that is not deleted.
    async fn settings(&self, id: ServerId) -> Result<Option<StoredSettings>, StoreError>;

    /// Changes single settings of a server and keeps the others, whether its game has them or not. `None` for a value
    /// removes it. With an owner, only if the server is still theirs. Returns `None` if there is no such server.
    async fn change_settings(
        &self,
        id: ServerId,
        owner: Option<&UserId>,
        change: &[(String, Option<SettingValue>)],
    ) -> Result<Option<StoredSettings>, SettingsWriteError>;
}

/// Settings of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSettings {
    /// The server.
    pub server: Server,
    /// Values that people chose.
    pub chosen: SettingValues,
    /// Values that the last start gave to its game.
    pub launched: Launched,
}

/// Values of settings that a start gave to its game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launched {
    /// Value of every setting that the game had then.
    All(SettingValues),
    /// Values that were chosen then. An earlier version noted no defaults.
    Chosen(SettingValues),
}

/// Reason why settings were not written.
#[derive(Debug, Error)]
pub enum SettingsWriteError {
    /// All values together would be larger than [`SETTINGS_BYTES`].
    #[error("the settings are too large")]
    TooLarge,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
