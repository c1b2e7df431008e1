//! Settings of servers in columns of JSON.

use agis_base::{ServerId, StoreError, UserId};
use agis_servers::{
    game::{SettingValue, SettingValues},
    host::Generation,
    store::{Launched, SETTINGS_BYTES, SettingStore, SettingsWriteError, StoredSettings},
};
use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use crate::{
    db::Db,
    error::Fault,
    json::Json,
    schema::{game_servers, now},
    servers::ServerRow,
};

#[async_trait]
impl SettingStore for Db {
    async fn settings(&self, id: ServerId) -> Result<Option<StoredSettings>, StoreError> {
        self.read(async |mut conn| {
            let row =
                game_servers::table.filter(game_servers::id.eq(id.0).and(game_servers::deleted_at.is_null())).select((
                    ServerRow::as_select(),
                    game_servers::settings,
                    game_servers::launch_settings,
                    game_servers::run_settings,
                ));
            let row: Option<SettingsRow> = row.first(&mut conn).await.optional()?;
            row.map(stored_settings).transpose()
        })
        .await
    }

    async fn change_settings(
        &self,
        id: ServerId,
        owner: Option<&UserId>,
        change: &[(String, Option<SettingValue>)],
    ) -> Result<Option<StoredSettings>, SettingsWriteError> {
        self.transaction(async |conn| {
            let row = game_servers::table
                .filter(game_servers::id.eq(id.0).and(game_servers::deleted_at.is_null()))
                .select((game_servers::discord_id, game_servers::settings))
                .for_no_key_update();
            let row: Option<(String, Json<SettingValues>)> = row.first(conn).await.optional()?;
            let is_theirs = |(found, _): &(String, _)| owner.is_none_or(|owner| owner.as_str() == found);
            let Some((_, Json(mut settings))) = row.filter(is_theirs) else { return Ok(None) };
            for (name, value) in change {
                match value {
                    Some(value) => drop(settings.insert(name.clone(), value.clone())),
                    None => drop(settings.remove(name)),
                }
            }
            if serde_json::to_vec(&settings).map_or(usize::MAX, |json| json.len()) > SETTINGS_BYTES {
                return Err(Fault::Refused(SettingsWriteError::TooLarge));
            }
            let row: SettingsRow = diesel::update(game_servers::table.find(id.0))
                .set((game_servers::settings.eq(Json(settings)), game_servers::updated_at.eq(now())))
                .returning((
                    ServerRow::as_returning(),
                    game_servers::settings,
                    game_servers::launch_settings,
                    game_servers::run_settings,
                ))
                .get_result(conn)
                .await?;
            stored_settings(row).map(Some)
        })
        .await
    }
}

type SettingsRow = (ServerRow, Json<SettingValues>, Json<SettingValues>, Option<Json<RunSettings>>);

/// Value of every setting that a start gave to its game.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunSettings {
    /// Generation of the start.
    pub(crate) generation: Generation,
    pub(crate) values: SettingValues,
}

fn stored_settings<R>((row, chosen, launched, run): SettingsRow) -> Result<StoredSettings, Fault<R>> {
    let launched = run.map_or(Launched::Chosen(launched.0), |Json(run)| Launched::All(run.values));
    Ok(StoredSettings { server: row.into_server()?, chosen: chosen.0, launched })
}
