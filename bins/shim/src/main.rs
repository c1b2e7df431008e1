//! `agis-shim`: the supervisor of one game server, which `agis-api` starts, and the demo game.
//!
//! The supervisor is a program of its own for its size. One runs for every server, and the loader writes to each page that
//! holds an address (1.1 MiB in `agis-api`, 0.1 MiB here), so no two processes share it.

use std::{
    env::args_os,
    io::{self, Write},
    process::ExitCode,
};

use agis_host_process::{DEMO_GAME, GAME_EXEC, SHIM, SWEEP, demo_game, game_exec, leftovers, shim};
use agis_machine::within::{self, PREPARE};

fn main() -> ExitCode {
    let mut args = args_os().skip(1);
    match args.next().as_deref().and_then(|arg| arg.to_str()) {
        Some(SHIM) => shim::main(),
        Some(GAME_EXEC) => game_exec::main(args),
        Some(SWEEP) => leftovers::main(args),
        Some(PREPARE) => within::main(),
        Some(DEMO_GAME) => demo_game::main(args),
        _ => {
            let _ = writeln!(io::stderr(), "agis-api starts this program for each game server; nobody else needs it");
            ExitCode::FAILURE
        }
    }
}
