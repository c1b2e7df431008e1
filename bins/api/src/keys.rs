//! `agis-api keys`

use std::sync::Arc;

use agis_accounts::Accounts;
use agis_apikeys::{ApiKeys, KeyCache, NewKey};
use agis_program::settings;
use agis_storage::{Db, DbConfig};

use crate::{
    cli::{CreateKey, Failure, KeysCommand, answer, remark},
    config,
};

pub(crate) async fn keys(KeysCommand::Create(wanted): KeysCommand) -> Result<(), Failure> {
    let url = config::database_url(&settings::environment).map_err(Failure::from_display)?;
    let policy = config::keys_policy(&settings::environment).map_err(Failure::from_display)?;
    let db = Arc::new(Db::new(&DbConfig { url, connections: 2 }).map_err(Failure::from_display)?);
    if !db.is_migrated().await.map_err(Failure::from_display)? {
        return Err(Failure::new("the database lacks this version's schema; run 'agis-api migrate up' first"));
    }

    let CreateKey { user, name, scopes, rate_limit, ttl_days, allowed_ips } = wanted;
    Accounts::new(db.clone()).welcome(&user).await.map_err(Failure::from_display)?;
    let allowed_ips = Some(allowed_ips.into_iter().collect());
    let new = NewKey { name, scopes: scopes.into_iter().collect(), rate_limit, ttl_days, allowed_ips };
    let (key, stored) = ApiKeys::new(db, KeyCache::default(), policy)
        .create(&user, None, new, None)
        .await
        .map_err(Failure::from_display)?;

    let scopes: Vec<_> = stored.grant.scopes.iter().map(|scope| scope.to_string()).collect();
    let end = stored.grant.expires_at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d").to_string());
    remark(&format!(
        "key {} '{}' of user {user}: scopes {}, {} requests per hour, expires {end}; it is shown only now",
        stored.id,
        stored.name,
        scopes.join(" "),
        stored.grant.rate_limit,
    ));
    answer(key.reveal())
}
