use agis_base::{ChannelId, ServerId, StoreError};
use async_trait::async_trait;

/// Channels of Discord in which the stops and restarts of servers are announced.
#[async_trait]
pub trait AnnouncementStore: Send + Sync {
    /// Sets the channel of a server, in place of an earlier one; `None` removes it. `false` if there is no such server.
    async fn announce_in(&self, id: ServerId, channel: Option<&ChannelId>) -> Result<bool, StoreError>;

    /// Returns the channel of a server.
    async fn announced_in(&self, id: ServerId) -> Result<Option<ChannelId>, StoreError>;
}
