//! Servers as their hosts were found to run them.

use agis_base::{Reason, ServerId, StoreError, Timestamp};
use agis_notices::Kind;
use agis_servers::{
    RestartChoice, Status,
    host::Generation,
    restart::{EndedBy, Plan, RestartPolicy},
    server::Desired,
    store::{ObservationStore, Published},
};
use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    db::Db,
    desired,
    json::{IfReadable, Json},
    ledger::confirm,
    notices, restarts,
    schema::{game_servers, now},
    word::stored,
};

/// Id, generation and host of a server as it is published, and the time of the read.
type PublishedColumns = (i32, i64, Option<String>, String, Option<Json<IfReadable<RestartChoice>>>, Timestamp);

macro_rules! published {
    () => {
        (
            game_servers::id,
            game_servers::status_generation,
            game_servers::host,
            game_servers::game_type,
            game_servers::restart_policy,
            now(),
        )
    };
}

fn known(rows: Vec<PublishedColumns>) -> Vec<Published> {
    let known = |(id, generation, host, game_type, choice, at): PublishedColumns| {
        let restart_choice = choice.and_then(|Json(IfReadable(choice))| choice).unwrap_or_default();
        host.map(|host| Published { server: ServerId(id), generation, host, game_type, restart_choice, at })
    };
    rows.into_iter().filter_map(known).collect()
}

/// Checks that nothing was asked of the server since it was published.
#[diesel::dsl::auto_type(no_type_alias)]
fn is_unchanged() -> _ {
    game_servers::generation.eq(game_servers::status_generation).and(game_servers::deleted_at.is_null())
}

#[async_trait]
impl ObservationStore for Db {
    async fn published(&self, hosts: &[String]) -> Result<Vec<Published>, StoreError> {
        self.run(async |conn| {
            let running = game_servers::status.eq(stored(Status::Running)).and(game_servers::host.eq_any(hosts));
            Ok(known(game_servers::table.filter(running).select(published!()).load(conn).await?))
        })
        .await
    }

    async fn presumed_crashed(&self, hosts: &[String]) -> Result<Vec<Published>, StoreError> {
        self.run(async |conn| {
            let crashed = game_servers::status.eq(stored(Status::Crashed)).and(game_servers::host.eq_any(hosts));
            let rows = game_servers::table.filter(crashed).filter(is_unchanged()).select(published!());
            Ok(known(rows.load(conn).await?))
        })
        .await
    }

    async fn not_crashed(&self, server: ServerId, generation: Generation) -> Result<bool, StoreError> {
        self.run(async |conn| {
            let as_published =
                game_servers::status.eq(stored(Status::Crashed)).and(game_servers::status_generation.eq(generation));
            let updated = diesel::update(game_servers::table.find(server.0))
                .filter(as_published)
                .filter(is_unchanged())
                .set((
                    game_servers::status.eq(stored(Status::Running)),
                    game_servers::error_message.eq(None::<String>),
                    game_servers::stopped_at.eq(None::<Timestamp>),
                    game_servers::restart_at.eq(None::<Timestamp>),
                    game_servers::updated_at.eq(now()),
                ))
                .execute(conn)
                .await?;
            Ok(updated == 1)
        })
        .await
    }

    async fn confirm(&self, running: &[Published]) -> Result<(), StoreError> {
        if running.is_empty() {
            return Ok(());
        }
        self.run(async |conn| confirm::confirm(conn, running).await).await
    }

    async fn crashed(
        &self,
        server: ServerId,
        generation: Generation,
        how: &Reason,
        by: EndedBy,
        policy: &RestartPolicy,
    ) -> Result<Option<Plan>, StoreError> {
        self.transaction(async |conn| {
            let as_published =
                game_servers::status.eq(stored(Status::Running)).and(game_servers::status_generation.eq(generation));
            let updated = diesel::update(game_servers::table.find(server.0))
                .filter(as_published)
                .set((
                    game_servers::status.eq(stored(Status::Crashed)),
                    game_servers::error_message.eq(&**how),
                    game_servers::stopped_at.eq(now().nullable()),
                    game_servers::updated_at.eq(now()),
                ))
                .execute(conn)
                .await?;
            if updated == 0 {
                return Ok(None);
            }
            let plan = restarts::plan(conn, server, generation, by, policy).await?;
            let told = match plan {
                Plan::Restart { .. } => return Ok(Some(plan)),
                Plan::GiveUp => restarts::given_up(how, policy),
                Plan::Leave => how.to_string(),
            };
            notices::tell(conn, server, Kind::ServerCrashed, Some(generation), &told).await?;
            Ok(Some(plan))
        })
        .await
    }

    async fn ended_well(&self, server: ServerId, generation: Generation) -> Result<bool, StoreError> {
        self.transaction(async |conn| {
            // Whatever is asked of it from now on is decided after this.
            desired::lock(conn, server).await?;
            let as_published =
                game_servers::status.eq(stored(Status::Running)).and(game_servers::status_generation.eq(generation));
            let updated = diesel::update(game_servers::table.find(server.0))
                .filter(as_published)
                .set((
                    game_servers::status.eq(stored(Status::Stopped)),
                    game_servers::error_message.eq(None::<String>),
                    game_servers::stopped_at.eq(now().nullable()),
                    game_servers::updated_at.eq(now()),
                ))
                .execute(conn)
                .await?;
            if updated == 1 {
                desired::leave_stopped(conn, server, generation).await?;
            }
            Ok(updated == 1)
        })
        .await
    }

    async fn wanted(&self, hosts: &[String]) -> Result<Vec<ServerId>, StoreError> {
        self.run(async |conn| {
            let ids: Vec<i32> = game_servers::table
                .filter(game_servers::desired.eq(stored(Desired::Running)).and(game_servers::host.eq_any(hosts)))
                .filter(game_servers::deleted_at.is_null())
                .filter(game_servers::status.ne_all([Status::Crashed, Status::Failed].map(stored)))
                .select(game_servers::id)
                .load(conn)
                .await?;
            Ok(ids.into_iter().map(ServerId).collect())
        })
        .await
    }
}
