//! `agis-api credits`

use agis_accounts::{LedgerStore, ledger::REASON_MAX};
use agis_program::settings;
use agis_storage::{Db, DbConfig};

use crate::{
    cli::{CreditsCommand, Failure, answer},
    config,
};

pub(crate) async fn credits(CreditsCommand::Grant { user, amount, reason }: CreditsCommand) -> Result<(), Failure> {
    let reason = reason.trim();
    if !(1..=REASON_MAX).contains(&reason.chars().count()) || reason.chars().any(char::is_control) {
        return Err(Failure::new(format!("the reason has 1 to {REASON_MAX} characters on one line")));
    }
    let url = config::database_url(&settings::environment).map_err(Failure::from_display)?;
    let db = Db::new(&DbConfig { url, connections: 2, billing: false }).map_err(Failure::from_display)?;
    if !db.is_migrated().await.map_err(Failure::from_display)? {
        return Err(Failure::new("the database has not this version's schema; run 'agis-api migrate up' first"));
    }
    let granted = db.grant(&user, amount, reason).await.map_err(Failure::from_display)?;
    let unknown = "there is no such user, or they would have more credits than fit; a user is known here from their first \
                   Discord command, or their first key by 'agis-api keys create'";
    answer(&granted.ok_or_else(|| Failure::new(unknown))?.to_string())
}
