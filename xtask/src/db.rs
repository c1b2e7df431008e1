use std::process::{Command, Stdio};

use clap::Subcommand;

use crate::database::{DevDatabase, given, running_url};
use crate::failure::{Failure, Result};
use crate::run::{answer, step};
use crate::state::State;

/// Open psql on the dev database (or on that of DATABASE_URL)
///
/// Without psql on this machine, prints the URL for another client.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Print the URL of the running database
    Url,
}

pub(crate) fn run(args: &Args) -> Result {
    let state = State::locate()?;
    if args.what.is_some() || !has_psql() {
        answer(url(&state)?);
        return Ok(());
    }
    let database = DevDatabase::open(&state)?;
    step("psql (\\q to leave)");
    // Ctrl-C is psql's: it cancels a query.
    let status = Command::new("psql").arg(database.url()).status()?;
    if status.success() { Ok(()) } else { Err(Failure::Status(status)) }
}

fn url(state: &State) -> Result<String> {
    if let Some(url) = given() {
        return Ok(url);
    }
    match state.try_lock()? {
        Some(_) => Err(Failure::new("the dev database does not run: start it by `cargo xtask dev`")),
        None => running_url(state),
    }
}

fn has_psql() -> bool {
    Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}
