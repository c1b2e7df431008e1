//! The clock of a run of the tests, which `cargo xtask test --clock` moves.

use std::process::Command;

/// The variables that move a program's clock (libfaketime's) and choose its zone.
const CLOCK: [&str; 4] = ["LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC", "TZ"];

/// Clears the environment of a program to be started, but for what decides which time it is there.
pub fn clear_env(command: &mut Command) -> &mut Command {
    let clock = CLOCK.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(clock)
}
