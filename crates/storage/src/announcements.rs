//! Channels in which the stops and restarts of servers are announced.

use agis_base::{ChannelId, ServerId, StoreError};
use agis_servers::store::AnnouncementStore;
use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    db::Db,
    schema::{game_servers, server_announcements},
};

#[async_trait]
impl AnnouncementStore for Db {
    async fn announce_in(&self, id: ServerId, channel: Option<&ChannelId>) -> Result<bool, StoreError> {
        self.transaction(async |conn| {
            let server = game_servers::table
                .filter(game_servers::id.eq(id.0).and(game_servers::deleted_at.is_null()))
                .select(game_servers::id)
                .for_no_key_update();
            if server.first::<i32>(conn).await.optional()?.is_none() {
                return Ok(false);
            }
            match channel {
                None => diesel::delete(server_announcements::table.find(id.0)).execute(conn).await?,
                Some(channel) => {
                    diesel::insert_into(server_announcements::table)
                        .values((
                            server_announcements::server_id.eq(id.0),
                            server_announcements::channel_id.eq(channel.as_str()),
                        ))
                        .on_conflict(server_announcements::server_id)
                        .do_update()
                        .set(server_announcements::channel_id.eq(channel.as_str()))
                        .execute(conn)
                        .await?
                }
            };
            Ok(true)
        })
        .await
    }

    async fn announced_in(&self, id: ServerId) -> Result<Option<ChannelId>, StoreError> {
        self.read(async |mut conn| {
            let channel: Option<String> = server_announcements::table
                .find(id.0)
                .select(server_announcements::channel_id)
                .first(&mut conn)
                .await
                .optional()?;
            Ok(channel.as_deref().map(ChannelId::from_stored))
        })
        .await
    }
}
