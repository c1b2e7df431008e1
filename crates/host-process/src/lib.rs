//! Game servers as local processes, behind the [`Host`](agis_servers::host::Host) trait. Linux only.
//!
//! The host's half runs inside the program that serves people:
//! - [`ProcessHost`] (`host`): carries out orders; `start`, `stop` and `delete` reach the three targets
//! - `setup`: values fixed at start
//! - `holder`: PID namespace that holds a run and ends with its shim
//! - [`leftovers`]: ends processes that outlived their shim, where no namespace holds a run
//! - `launch`: turns an entry of the catalogue into a `spec`; `program`: checks whether a program can be run
//! - `containment`: boundaries around games; `world_watch`: measures worlds of running servers
//! - `watch`: notices the end of a server without an order
//! - `console_reader`: reads a console; `console_access`: gives access to the consoles of a data directory
//!
//! The shim's half is one process per running server. It outlives the program that began it:
//! - [`shim`]: becomes the server's run, or refuses; `supervise`: from start to end; `game`: the process and its pipes, or its `pty`
//! - `game_output`: reads the game's output, no faster than `console_rate`; `console_writer`: writes the console
//! - [`game_exec`]: takes the last step before the game: `view`, its mounts, its account, and its files
//! - `cgroup`: limits of a run where cgroups are delegated; `limits`: limits elsewhere
//! - `commands`: passes typed lines from the host's half to the shim's; `line_reader`: reads them
//!
//! Both halves, and every other program on the same data directory, agree on these:
//! - [`agis_machine`]: directories, ports and files of a server, and its generation fence
//! - `status`: the shim's last status
//! - `identity`: a process by pidfd and start time; `spec`: the shim's orders
//!
//! [`demo_game`] is a game that needs no download.
//!
//! The program `agis-shim` has four subcommands: [`SHIM`], [`GAME_EXEC`], [`SWEEP`] and [`DEMO_GAME`]. It calls the `main` of the
//! module of that name with the following arguments.

mod cgroup;
mod commands;
mod config;
mod console_access;
mod console_rate;
mod console_reader;
mod console_writer;
mod containment;
mod delete;
pub mod demo_game;
mod game;
pub mod game_exec;
mod game_output;
mod holder;
mod host;
mod identity;
mod launch;
pub mod leftovers;
mod limits;
mod line_reader;
mod program;
mod pty;
mod setup;
pub mod shim;
mod spec;
mod start;
mod status;
mod stop;
mod supervise;
mod view;
mod watch;
mod world_watch;

pub use config::{Config, SetupError};
pub use console_access::Consoles;
pub use host::ProcessHost;

/// Subcommand that runs [`shim::main`].
pub const SHIM: &str = "game-shim";
/// Subcommand that runs [`game_exec::main`].
pub const GAME_EXEC: &str = "game-exec";
/// Subcommand that runs [`leftovers::main`].
pub const SWEEP: &str = "game-sweep";
/// Subcommand that runs [`demo_game::main`].
pub const DEMO_GAME: &str = "demo-game";
