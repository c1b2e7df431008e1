//! Game servers on Kubernetes, as [Agones](https://agones.dev) runs them, behind the [`Host`](agis_servers::host::Host)
//! trait. No other crate names kube.
//!
//! - [`AgonesHost`] (`host`): carries out orders by `start`, `stop` and `world`
//! - `fence`: a ConfigMap with the highest generation of a server, and its GameServer
//! - `former`: moves the fences of older versions, which stood beside the games
//! - `gameserver`: reads Agones' status; `address`: the address in it
//! - `template`: turns an entry of the catalogue into a GameServer; `entry`: writes the template of a container's entry,
//!   `secret`: the Secret beside it, `ports`: ports of the nodes
//! - `fleet`: allocates a GameServer from a Fleet
//! - `console`: reads a console; `ready`: signs that AGIS itself looks for
//! - `view`: reports of the watches, `follow`: the watches, `sight`: their freshness; `reaper`: takes away unwanted
//!   objects
//! - `cluster`: calls to the API server, their deadline, and the meaning of their failures
//! - `names`: names and labels of our objects
//!
//! Any number of processes can do this safely, even if answers to calls are lost. The name or labels of an object tell
//! its server and generation, so it is found again. A new GameServer is ours only once it stands in the fence, and one
//! process wins that. All other objects with our labels are taken away after they were seen twice.

mod address;
mod cluster;
mod config;
mod console;
mod entry;
mod fence;
mod fleet;
mod follow;
mod former;
mod gameserver;
mod host;
mod names;
mod players;
mod ports;
mod ready;
mod reaper;
mod secret;
mod sight;
mod start;
mod stop;
mod template;
mod view;
mod world;

pub use config::{Config, Pace, SetupError, connect};
pub use host::AgonesHost;
pub use template::mistake;
