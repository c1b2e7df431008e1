//! Game servers as local processes, behind the [`Host`](agis_servers::host::Host) trait. Linux only.
//!
//! The host's half, inside the program that serves people:
//! - [`ProcessHost`] (`host`): orders and looks; `start`, `stop` and `trash` are the three targets
//! - `place`: what is fixed at start; `account`: whom games run as; `ports`: who has which port
//! - `launch`: from the catalogue to a `spec` of what to run; `program`: whether it can be run
//! - `watch`: notices the end of a server without an order
//! - `log`: reads what a server wrote
//!
//! The shim's half, one process per running server, which outlives the program that began it:
//! - [`shim`]: takes the lock, or refuses; `supervise`: from start to end; `game`: the process and its pipes
//! - `console`: the log; `ready`: the sign that players can join
//! - [`game_exec`]: the last step before the game, as the game's account
//! - `commands`: lines that are typed for the game, from the host's half to the shim's
//!
//! What both halves and every other program on the same data directory agree on:
//! - `dir`: a server's directory and its generation fence; `lock`: flock(2); `status`: what the shim last said
//! - `identity`: a process by pidfd and start time; `spec`: the shim's orders
//!
//! [`demo_game`] is a game that needs no download.
//!
//! The program that composes this offers three subcommands, [`SHIM`], [`GAME_EXEC`] and [`DEMO_GAME`], hidden from
//! people, and calls the `main` of the module of that name with the arguments that follow, before it starts an async
//! runtime of its own.

mod account;
mod commands;
mod config;
mod console_access;
mod console_reader;
mod console_writer;
mod delete;
pub mod demo_game;
mod dir;
mod game;
pub mod game_exec;
mod host;
mod identity;
mod launch;
mod line_reader;
mod lock;
mod ports;
mod program;
mod ready;
mod setup;
pub mod shim;
mod spec;
mod start;
mod status;
mod stop;
mod supervise;
mod trash;
mod watch;

pub use config::{Config, SetupError};
pub use console_access::Consoles;
pub use host::ProcessHost;

/// The subcommand that runs [`shim::main`].
pub const SHIM: &str = "game-shim";
/// The subcommand that runs [`game_exec::main`].
pub const GAME_EXEC: &str = "game-exec";
/// The subcommand that runs [`demo_game::main`].
pub const DEMO_GAME: &str = "demo-game";
