//! What can be typed.

use std::{ffi::OsString, fmt::Display, io::Write};

use agis_base::UserId;
use agis_program::upkeep;
use clap::{Args, Parser, Subcommand};

/// The REST API of AGIS, its scheduler and its workers. Configured by the environment; see docs/CONFIGURATION.md.
#[derive(Parser)]
#[command(name = "agis-api", disable_version_flag = true)]
pub(crate) struct Cli {
    /// Print the version, and that of the time zone data in use
    #[arg(short = 'V', long)]
    pub(crate) version: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve REST and run the background loops (the default)
    Serve,
    /// Bring the database's schema up to date, or back
    Migrate {
        #[command(subcommand)]
        direction: Direction,
    },
    /// API keys, for an operator
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Credits, for an operator
    Credits {
        #[command(subcommand)]
        command: CreditsCommand,
    },
    /// Print the API's OpenAPI document
    Openapi,
    #[command(name = agis_host_process::SHIM, hide = true)]
    GameShim,
    #[command(name = agis_host_process::GAME_EXEC, hide = true)]
    GameExec {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    #[command(name = agis_host_process::DEMO_GAME, hide = true, disable_help_flag = true)]
    DemoGame {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Subcommand, Clone, Copy)]
pub(crate) enum Direction {
    /// Apply what is pending
    Up,
    /// Revert the last migration; what only it can hold is lost
    Down,
    /// Revert the last migration and apply it again
    Redo,
    /// List the migrations and whether they are applied
    Status,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key, and its user where there is none yet; prints the key, once, and nothing else, to standard output
    Create(CreateKey),
}

#[derive(Subcommand)]
pub(crate) enum CreditsCommand {
    /// Give a user credits; prints what they have then
    Grant {
        /// How many credits
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=1_000_000_000))]
        amount: i32,
        #[command(flatten)]
        entry: Entry,
    },
    /// Mend what was given or taken by mistake; prints what they have then
    Correct {
        /// How many credits, with a minus to take them back
        #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1_000_000_000..=1_000_000_000))]
        amount: i32,
        #[command(flatten)]
        entry: Entry,
    },
}

#[derive(Args)]
pub(crate) struct Entry {
    /// Whom: a Discord user id
    #[arg(long)]
    pub(crate) user: UserId,
    /// What for; it stays in the ledger
    #[arg(long)]
    pub(crate) reason: String,
    /// A name of your own for this, such as the number of an order: what is repeated with the same one is done once
    #[arg(long)]
    pub(crate) id: Option<String>,
}

#[derive(Args)]
pub(crate) struct CreateKey {
    /// Whose key: a Discord user id
    #[arg(long)]
    pub(crate) user: UserId,
    /// What its owner will call it
    #[arg(long, default_value = "operator")]
    pub(crate) name: String,
    /// What it may do; may be given several times
    #[arg(long = "scope", default_value = "*")]
    pub(crate) scopes: Vec<agis_apikeys::Scope>,
    /// Requests per hour
    #[arg(long)]
    pub(crate) rate_limit: Option<u32>,
    /// Days until it ends; it does not end if this is not given
    #[arg(long)]
    pub(crate) ttl_days: Option<u32>,
    /// An address or a block of addresses (CIDR) from which it may be used; may be given several times; from anywhere if
    /// this is not given
    #[arg(long = "allowed-ip")]
    pub(crate) allowed_ips: Vec<agis_apikeys::Block>,
}

/// Why a command ended badly, for the person who typed it.
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn from_display(error: impl Display) -> Self {
        Self(error.to_string())
    }

    pub(crate) fn print(&self) {
        // Nobody is left to hear that this failed.
        let _ = writeln!(std::io::stderr(), "agis-api: {}", self.0);
    }
}

/// This program's version, and where the rules of time zones come from.
pub(crate) fn version() -> String {
    format!("agis-api {}\ntime zones {}", env!("CARGO_PKG_VERSION"), upkeep::zones())
}

/// Prints a line of an answer.
pub(crate) fn answer(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}").map_err(Failure::from_display)
}

/// Prints a line beside the answer.
pub(crate) fn remark(line: &str) {
    // An answer that was printed is not taken back because a remark could not be.
    let _ = writeln!(std::io::stderr(), "{line}");
}
