//! Game servers as containers of this machine's own engine, Docker or Podman, behind the
//! [`Host`](agis_servers::host::Host) trait. Linux only.
//!
//! The engine holds the containers, so no supervisor of ours is needed: they outlive this program, and the next one finds
//! them by their names. [`agis_machine`] holds everything else, as for the host of processes: worlds, ports, fences.
//!
//! - [`ContainerHost`] (`host`): carries out orders; `start` and `stop` reach the targets
//! - `engine`: calls to the engine, each with a deadline; `address`: where it listens; `pin`: the one of the data directory
//! - `names`: names and labels by which containers are found again; `seen`: a container as the engine shows it
//! - `record`: the last run of a server, as its directory holds it; `ending`: how a run ended
//! - `container`: turns an entry of the catalogue into a container; `user`: whose account it has; `world`: prepares its world
//! - `image`: finds or pulls an image, and tells its digest
//! - `network`: a network for each run
//! - `ready`: checks for players' entry; `console`: lines and commands
//! - `watch`: notices changes without an order; `reaper`: takes away what no order wants any more
//! - `report`: boundaries around games

mod address;
mod config;
mod console;
mod container;
mod ending;
mod engine;
mod host;
mod image;
mod names;
mod network;
mod pin;
mod ready;
mod reaper;
mod record;
mod report;
mod seen;
mod start;
mod stop;
mod user;
mod watch;
mod world;

pub use address::Address;
pub use config::{Config, Pace};
pub use host::ContainerHost;
pub use image::{Images, PullProgress};
