//! Nothing but the hidden subcommands, for this crate's tests.

use std::process::ExitCode;

use agis_host_process::{DEMO_GAME, GAME_EXEC, SHIM, demo_game, game_exec, shim};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|arg| arg.to_str()) {
        Some(SHIM) => shim::main(),
        Some(GAME_EXEC) => game_exec::main(args),
        Some(DEMO_GAME) => demo_game::main(args),
        _ => ExitCode::FAILURE,
    }
}
