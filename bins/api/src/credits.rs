//! `agis-api credits`

use agis_accounts::{
    LedgerStore,
    ledger::{ENTRY_ID_MAX, Entered, Entry, REASON_MAX},
};
use agis_base::StoreError;
use agis_program::settings;
use agis_storage::{Db, DbConfig};
use uuid::Uuid;

use crate::{
    cli::{CreditsCommand, Failure, answer, remark},
    config,
};

pub(crate) async fn credits(command: CreditsCommand) -> Result<(), Failure> {
    let entry = entry(command)?;
    let url = config::database_url(&settings::environment).map_err(Failure::from_display)?;
    let db = Db::new(&DbConfig { url, connections: 2 }).map_err(Failure::from_display)?;
    if !db.is_migrated().await.map_err(Failure::from_display)? {
        return Err(Failure::new("the database lacks this version's schema; run 'agis-api migrate up' first"));
    }
    match db.enter(&entry).await.map_err(|error| unknown(&entry, &error))? {
        Entered::Written(has) => answer(&has.to_string()),
        Entered::Before(has) => {
            remark("this entry exists already, and is not made again");
            answer(&has.to_string())
        }
        Entered::NoUser => Err(Failure::new(
            "there is no such user; a user is known here from their first Discord command, or their first key by \
             'agis-api keys create'",
        )),
        Entered::OutOfRange(has) => {
            Err(Failure::new(format!("the user has {has} credits; a balance is 0 to {}", i32::MAX)))
        }
        Entered::OtherId => Err(Failure::new(format!("'{}' is the id of something else in the ledger", entry.id))),
    }
}

fn entry(command: CreditsCommand) -> Result<Entry, Failure> {
    let (corrects, credits, entry) = match command {
        CreditsCommand::Grant { amount, entry } => (false, amount, entry),
        CreditsCommand::Correct { amount: 0, .. } => return Err(Failure::new("0 credits correct nothing")),
        CreditsCommand::Correct { amount, entry } => (true, amount, entry),
    };
    let line = |text: String, what: &str, most: usize| {
        let text = text.trim().to_owned();
        if !(1..=most).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            return Err(Failure::new(format!("the {what} has 1 to {most} characters on one line")));
        }
        Ok(text)
    };
    Ok(Entry {
        user: entry.user,
        credits,
        corrects,
        reason: line(entry.reason, "reason", REASON_MAX)?,
        id: line(entry.id.unwrap_or_else(|| Uuid::now_v7().to_string()), "id", ENTRY_ID_MAX)?,
    })
}

/// Names the id to repeat, since the database may have committed before the answer was lost.
fn unknown(entry: &Entry, error: &StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) => Failure::new(format!(
            "{error}; the entry may exist: repeat the command with --id '{}', which makes it at most once",
            entry.id
        )),
        // Two commands used one id at the same time for two users.
        StoreError::Conflict(_) => Failure::new(format!("'{}' is the id of something else in the ledger", entry.id)),
        StoreError::Refused(_) | StoreError::Internal(_) => Failure::from_display(error),
    }
}
