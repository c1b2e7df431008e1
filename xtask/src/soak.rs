use std::process::Command;

use crate::build;
use crate::failure::Result;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;
use crate::state::{State, make_enterable};
use crate::test;

/// Run the real programs for long, with users, kills and outages
///
/// Two agis-api, the bot on a stand-in for Discord, PostgreSQL and Redis: users and schedules work on them while programs are
/// killed, databases go away and the clock jumps. At the end nothing may be lost, doubled, unexplained in a log, or grown.
/// Logs stay in `.agis/soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long the storms last
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Optimised programs, as they are shipped
    #[arg(long)]
    release: bool,
    /// Repeats the order of the storms of another run
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    let library = test::clock_libraries()?;
    let (api, bot) = (build::agis_api(args.release, interrupts)?, build::agis_bot(args.release, interrupts)?);
    let soak = build::agis_soak(interrupts)?;
    let state = State::locate()?;
    let dir = state.dir().join("soak");
    make_enterable(&dir)?;
    step(format_args!("{} minutes", args.minutes));
    let mut command = Command::new(soak);
    command.args(["--minutes", &args.minutes.to_string()]).arg("--api").arg(api).arg("--bot").arg(bot);
    command.arg("--dir").arg(dir).arg("--downloads").arg(state.downloads()).arg("--clock-library").arg(library);
    command.args(args.seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
    run_command(&mut command, interrupts)
}
