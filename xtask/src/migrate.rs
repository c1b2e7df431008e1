use std::process::Command;

use clap::ValueEnum;

use crate::build;
use crate::database::DevDatabase;
use crate::failure::Result;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;
use crate::state::State;

/// Move the schema of the dev database (or that of DATABASE_URL)
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The direction
    direction: Direction,
}

#[derive(Clone, Copy, ValueEnum)]
enum Direction {
    /// Run what has not run yet
    Up,
    /// Revert the last migration, and its data with it
    Down,
    /// Revert the last migration and run it again
    Redo,
    /// List what has run and what has not
    Status,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Redo => "redo",
            Self::Status => "status",
        }
    }
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    let program = build::agis_api(false, interrupts)?;
    let database = DevDatabase::open(&State::locate()?)?;
    let direction = args.direction.word();
    step(format_args!("migrate {direction}"));
    run_command(Command::new(program).args(["migrate", direction]).env("DATABASE_URL", database.url()), interrupts)
}
