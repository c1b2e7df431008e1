use std::time::Duration;

use agis_base::{Once, StoreError, Timestamp};
use agis_idempotency::{Asked, Begun, Replies, Reply};
use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    db::Db,
    error::Fault,
    once::{made, ours},
    schema::{after, clock_timestamp, idempotency_keys},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys)]
struct ReplyRow {
    fingerprint: Vec<u8>,
    lease_until: Option<Timestamp>,
    status: Option<i16>,
    content_type: Option<String>,
    location: Option<String>,
    body: Option<Vec<u8>>,
}

#[async_trait]
impl Replies for Db {
    async fn begin(&self, asked: &Asked, lease: Duration, limit: u32) -> Result<Begun, StoreError> {
        self.run(async |conn| {
            // Read without a lock: an attempt that is about to note what it made does not let us wait.
            if let Some(begun) = met(conn, asked, lease).await? {
                return Ok(begun);
            }
            let of_user = idempotency_keys::table.filter(idempotency_keys::discord_id.eq(asked.user.as_str()));
            let keys: i64 = of_user.count().get_result(conn).await?;
            if keys >= i64::from(limit) {
                return Ok(Begun::TooMany);
            }
            if let Some(once) = insert(conn, asked, lease).await? {
                return Ok(Begun::Now(once));
            }
            // Another request was quicker; if it is gone again, the next one will do.
            Ok(met(conn, asked, lease).await?.unwrap_or(Begun::InFlight { left: Duration::ZERO }))
        })
        .await
    }

    async fn venture(&self, once: &Once, subject: i32) -> Result<bool, StoreError> {
        self.run(async |conn| {
            let first = ours(once).filter(idempotency_keys::resource.is_null());
            if diesel::update(first).set(idempotency_keys::resource.eq(subject)).execute(conn).await? == 1 {
                return Ok(true);
            }
            // An error where another attempt has taken over.
            made(conn, Some(once)).await.map(|_| false)
        })
        .await
    }

    async fn withdraw(&self, once: &Once) -> Result<(), StoreError> {
        self.run(async |conn| {
            diesel::update(ours(once)).set(idempotency_keys::resource.eq(None::<i32>)).execute(conn).await?;
            Ok(())
        })
        .await
    }

    async fn finish(&self, once: &Once, reply: &Reply) -> Result<(), StoreError> {
        self.run(async |conn| {
            diesel::update(ours(once))
                .set((
                    idempotency_keys::lease_until.eq(None::<Timestamp>),
                    idempotency_keys::status.eq(i16::try_from(reply.status).unwrap_or(i16::MAX)),
                    idempotency_keys::content_type.eq(&reply.content_type),
                    idempotency_keys::location.eq(&reply.location),
                    idempotency_keys::body.eq(&reply.body),
                ))
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
    }

    async fn abandon(&self, once: &Once) -> Result<(), StoreError> {
        self.run(async |conn| {
            let made_nothing = ours(once).filter(idempotency_keys::resource.is_null());
            if diesel::delete(made_nothing).execute(conn).await? == 0 {
                let ended = idempotency_keys::lease_until.eq(clock_timestamp().nullable());
                diesel::update(ours(once)).set(ended).execute(conn).await?;
            }
            Ok(())
        })
        .await
    }

    async fn forget(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        // As long as an operation is known by a key, the key is known by its request.
        self.forget_older(
            "delete from idempotency_keys where key in
                 (select key from idempotency_keys i where created_at < $1
                    and not exists (select from operations o where o.idempotency_key = i.key)
                  order by created_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }
}

/// Returns the fate of a request whose key is known; `None` for an unknown key.
async fn met(conn: &mut AsyncPgConnection, asked: &Asked, lease: Duration) -> Result<Option<Begun>, Fault<StoreError>> {
    let known = idempotency_keys::table.find(&*asked.key).select((ReplyRow::as_select(), clock_timestamp()));
    let known: Option<(ReplyRow, Timestamp)> = known.first(conn).await.optional()?;
    let Some((row, now)) = known else { return Ok(None) };
    if row.fingerprint != asked.fingerprint.as_bytes() {
        return Ok(Some(Begun::Other));
    }
    if let Some(status) = row.status {
        let reply = Reply {
            status: status.unsigned_abs(),
            content_type: row.content_type,
            location: row.location,
            body: row.body.unwrap_or_default(),
        };
        return Ok(Some(Begun::Before(reply)));
    }
    let left = row.lease_until.and_then(|until| (until - now).to_std().ok()).unwrap_or_default();
    if !left.is_zero() {
        return Ok(Some(Begun::InFlight { left }));
    }
    // If another was quicker, it has just begun.
    Ok(Some(take_over(conn, asked, lease).await?.map_or(Begun::InFlight { left: lease }, Begun::Now)))
}

/// Writes a request down as in flight; `None` if another was quicker.
async fn insert(
    conn: &mut AsyncPgConnection,
    asked: &Asked,
    lease: Duration,
) -> Result<Option<Once>, Fault<StoreError>> {
    let once = Once { key: asked.key.clone(), attempt: Uuid::now_v7() };
    let inserted = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::key.eq(&*once.key),
            idempotency_keys::attempt.eq(once.attempt),
            idempotency_keys::lease_until.eq(after(lease)),
            idempotency_keys::discord_id.eq(asked.user.as_str()),
            idempotency_keys::fingerprint.eq(asked.fingerprint.as_bytes()),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok((inserted == 1).then_some(once))
}

/// Takes over a request whose lease ran out; `None` if another was quicker.
async fn take_over(
    conn: &mut AsyncPgConnection,
    asked: &Asked,
    lease: Duration,
) -> Result<Option<Once>, Fault<StoreError>> {
    let once = Once { key: asked.key.clone(), attempt: Uuid::now_v7() };
    let left = idempotency_keys::lease_until.le(clock_timestamp().nullable());
    let taken = diesel::update(idempotency_keys::table.find(&*once.key).filter(left))
        .set((idempotency_keys::attempt.eq(once.attempt), idempotency_keys::lease_until.eq(after(lease))))
        .execute(conn)
        .await?;
    Ok((taken == 1).then_some(once))
}
