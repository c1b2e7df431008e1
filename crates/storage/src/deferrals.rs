//! Answers that somebody was promised in Discord.

use std::{sync::Arc, time::Duration};

use agis_base::{BatchId, OperationId, StoreError, UserId};
use agis_deferrals::{Claimed, Deferral, DeferralStore, Followed, Holder, Place, Sealed};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Binary, Double, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    db::{Db, column},
    error::{Fault, understood},
    schema::deferrals,
    word::{Stored, every, stored},
};

#[derive(QueryableByName)]
struct DeferralRow {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    discord_id: String,
    #[diesel(sql_type = Binary)]
    token: Vec<u8>,
    #[diesel(sql_type = Text)]
    place: Stored<Place>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    operation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Integer>)]
    batch_id: Option<i32>,
    #[diesel(sql_type = Double)]
    age_s: f64,
}

impl DeferralRow {
    fn into_claimed(self) -> Result<Claimed, Fault<StoreError>> {
        let deferral = Deferral {
            place: self.place.known("deferrals.place")?,
            key: self.key.into(),
            user: UserId::from_stored(&self.discord_id),
            token: Sealed(self.token),
            follows: match (self.batch_id, self.operation_id) {
                (Some(batch), _) => Some(Followed::Batch(BatchId(batch))),
                (None, operation) => operation.map(|id| Followed::Operation(OperationId(id))),
            },
        };
        Ok(Claimed { deferral, age: Duration::try_from_secs_f64(self.age_s).unwrap_or_default() })
    }
}

fn operation(deferral: &Deferral) -> Option<Uuid> {
    match deferral.follows? {
        Followed::Operation(id) => Some(id.0),
        Followed::Batch(_) => None,
    }
}

fn batch(deferral: &Deferral) -> Option<i32> {
    match deferral.follows? {
        Followed::Operation(_) => None,
        Followed::Batch(id) => Some(id.0),
    }
}

#[async_trait]
impl DeferralStore for Db {
    async fn keep(&self, holder: &Holder, lease: Duration, promises: &[Deferral]) -> Result<(), StoreError> {
        self.run(async |conn| {
            // diesel joins no `unnest`.
            diesel::sql_query(
                "insert into deferrals as d
                        (key, discord_id, token, place, operation_id, batch_id, process, seal, lease_until)
                 select new.*, $7, $8, clock_timestamp() + make_interval(secs => $9)
                 from unnest($1, $2, $3, $4, $5, $6) as new
                 on conflict (key) do update
                 set operation_id = excluded.operation_id, batch_id = excluded.batch_id, lease_until = excluded.lease_until
                 where d.process = excluded.process",
            )
            .bind::<Array<Text>, _>(column(promises, |deferral| &*deferral.key))
            .bind::<Array<Text>, _>(column(promises, |deferral| deferral.user.as_str()))
            .bind::<Array<Binary>, _>(column(promises, |deferral| &deferral.token.0[..]))
            .bind::<Array<Text>, _>(column(promises, |deferral| stored(deferral.place)))
            .bind::<Array<Nullable<SqlUuid>>, _>(column(promises, operation))
            .bind::<Array<Nullable<Integer>>, _>(column(promises, batch))
            .bind::<SqlUuid, _>(holder.process)
            .bind::<Binary, _>(&holder.seal)
            .bind::<Double, _>(lease.as_secs_f64())
            .execute(conn)
            .await?;
            Ok(())
        })
        .await
    }

    async fn forget(&self, holder: &Holder, keys: &[Arc<str>]) -> Result<(), StoreError> {
        self.run(async |conn| {
            let kept = deferrals::process.eq(holder.process).and(deferrals::key.eq_any(column(keys, |key| &**key)));
            diesel::delete(deferrals::table.filter(kept)).execute(conn).await?;
            Ok(())
        })
        .await
    }

    async fn claim(
        &self,
        holder: &Holder,
        lease: Duration,
        life: Duration,
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.run(async |conn| {
            // diesel has no CTEs. An operation that was accepted before its answer could say so has the key.
            let rows: Vec<DeferralRow> = diesel::sql_query(
                "with old as (
                     delete from deferrals where created_at <= now() - make_interval(secs => $6)),
                 due as (
                     select key from deferrals
                     where seal = $2 and lease_until <= now() and created_at > now() - make_interval(secs => $6)
                       and place = any($3)
                     order by lease_until limit $4
                     for no key update skip locked)
                 update deferrals d set process = $1, lease_until = clock_timestamp() + make_interval(secs => $5)
                 from due where d.key = due.key
                 returning d.key, d.discord_id, d.token, d.place, d.batch_id,
                           coalesce(d.operation_id, (select o.id from operations o where o.idempotency_key = d.key))
                               as operation_id,
                           extract(epoch from clock_timestamp() - d.created_at)::double precision as age_s",
            )
            .bind::<SqlUuid, _>(holder.process)
            .bind::<Binary, _>(&holder.seal)
            .bind::<Array<Text>, _>(every::<Place>())
            .bind::<BigInt, _>(i64::from(limit))
            .bind::<Double, _>(lease.as_secs_f64())
            .bind::<Double, _>(life.as_secs_f64())
            .get_results(conn)
            .await?;
            understood(rows.into_iter().map(DeferralRow::into_claimed))
        })
        .await
    }
}
