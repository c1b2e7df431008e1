//! The command line.

use std::{fmt::Display, io::Write, path::PathBuf};

use agis_base::UserId;
use agis_program::upkeep;
use clap::{Args, Parser, Subcommand};

/// The REST API of AGIS, its scheduler and its workers. Configured by the environment; see docs/CONFIGURATION.md.
#[derive(Parser)]
#[command(name = "agis-api", disable_version_flag = true)]
pub(crate) struct Cli {
    /// Print the version, and the version of the time zone data in use
    #[arg(short = 'V', long)]
    pub(crate) version: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve REST and run the background loops (the default)
    Serve,
    /// Migrate the database schema
    Migrate {
        #[command(subcommand)]
        direction: Direction,
    },
    /// Manage API keys
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Manage credits
    Credits {
        #[command(subcommand)]
        command: CreditsCommand,
    },
    /// List the hosts of game servers
    Hosts {
        #[command(subcommand)]
        command: Option<HostsCommand>,
    },
    /// List the games that this installation can run
    Games {
        #[command(subcommand)]
        command: Option<GamesCommand>,
    },
    /// Show the settings of a server, and change them, also those of the operator
    Settings(SettingsCommand),
    /// Print the API's OpenAPI document
    Openapi,
}

#[derive(Subcommand, Clone, Copy)]
pub(crate) enum Direction {
    /// Apply pending migrations
    Up,
    /// Revert the last migration; data that only its schema can hold is lost
    Down,
    /// Revert the last migration and apply it again
    Redo,
    /// List the migrations and whether they are applied
    Status,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key, and its user if needed; prints only the key, once, to standard output
    Create(CreateKey),
}

#[derive(Subcommand)]
pub(crate) enum GamesCommand {
    /// Check a catalogue; prints each mistake with its file and line, or else the games
    Check {
        /// The file, as GAMES_FILE names it
        file: PathBuf,
    },
    /// Pull the newest images of games that run as containers; their servers get them at their next start
    Pull {
        /// Keys of the games; every game if none is named
        games: Vec<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum HostsCommand {
    /// Give a host to the next process that reports it, after its data directory was lost
    Adopt {
        /// The name of the host
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum CreditsCommand {
    /// Give a user credits; prints the new balance
    Grant {
        /// The number of credits
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=1_000_000_000))]
        amount: i32,
        #[command(flatten)]
        entry: Entry,
    },
    /// Correct a wrong entry; prints the new balance
    Correct {
        /// The number of credits; negative to take them back
        #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1_000_000_000..=1_000_000_000))]
        amount: i32,
        #[command(flatten)]
        entry: Entry,
    },
}

#[derive(Args)]
pub(crate) struct Entry {
    /// The Discord id of the user
    #[arg(long)]
    pub(crate) user: UserId,
    /// The reason; it stays in the ledger
    #[arg(long)]
    pub(crate) reason: String,
    /// An id of your own for this entry, such as an order number; a repeated entry with the same id is made once
    #[arg(long)]
    pub(crate) id: Option<String>,
}

#[derive(Args)]
pub(crate) struct SettingsCommand {
    /// The number of the server
    pub(crate) server: i32,
    /// New values; they apply to the next start
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) assignments: Vec<String>,
    /// A setting that goes back to its default; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) reset: Vec<String>,
}

#[derive(Args)]
pub(crate) struct CreateKey {
    /// The Discord id of the key's owner
    #[arg(long)]
    pub(crate) user: UserId,
    /// The name that its owner sees
    #[arg(long, default_value = "operator")]
    pub(crate) name: String,
    /// A scope of the key; may be repeated
    #[arg(long = "scope", default_value = "*")]
    pub(crate) scopes: Vec<agis_apikeys::Scope>,
    /// Requests per hour
    #[arg(long)]
    pub(crate) rate_limit: Option<u32>,
    /// Days until the key expires; without this it does not expire
    #[arg(long)]
    pub(crate) ttl_days: Option<u32>,
    /// An address or a block of addresses (CIDR) from which the key may be used; may be repeated; without this, from
    /// anywhere
    #[arg(long = "allowed-ip")]
    pub(crate) allowed_ips: Vec<agis_apikeys::Block>,
}

/// Why a command failed, for the person who typed it.
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn from_display(error: impl Display) -> Self {
        Self(error.to_string())
    }

    pub(crate) fn print(&self) {
        // Nobody is left to read that this failed.
        let _ = writeln!(std::io::stderr(), "agis-api: {}", self.0);
    }
}

/// Returns the version of this program, and the source of its time zone rules.
pub(crate) fn version() -> String {
    format!("agis-api {}\ntime zones {}", env!("CARGO_PKG_VERSION"), upkeep::zones())
}

/// Prints a line of an answer.
pub(crate) fn answer(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}").map_err(Failure::from_display)
}

/// Prints a line beside the answer.
pub(crate) fn remark(line: &str) {
    // The printed answer stands, even if the remark fails.
    let _ = writeln!(std::io::stderr(), "{line}");
}
