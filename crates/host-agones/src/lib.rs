//! Game servers on Kubernetes, as [Agones](https://agones.dev) runs them, behind the [`Host`](agis_servers::host::Host)
//! trait. The only crate that names kube.
//!
//! - [`AgonesHost`] (`host`): orders and looks; `start`, `stop` and `world` are what orders lead to
//! - `fence`: the highest generation that was seen of a server, and what became of it, as a ConfigMap
//! - `former`: fences of older versions, which stood beside the games
//! - `gameserver`: what Agones says of a GameServer; `template`: from the catalogue to one
//! - `fleet`: a GameServer allocated from a Fleet
//! - `console`: what a server writes
//! - `view`: what the watches have told, `follow`: how, `sight`: how fresh that is; `reaper`: what nobody asked for any more is taken away
//! - `cluster`: every call to the API server, its deadline, and what its failure means
//! - `names`: names and labels of what is ours
//!
//! What makes this safe to do from any number of processes, with calls whose answers are lost: what we create has a name
//! or labels that say for which server and generation it is, so that it is found again; what is created is ours only
//! when it stands in the fence, which one process wins; everything else with our labels is taken away, once it was seen
//! twice.

mod cluster;
mod config;
mod console;
mod fence;
mod fleet;
mod follow;
mod former;
mod gameserver;
mod host;
mod names;
mod reaper;
mod sight;
mod start;
mod stop;
mod template;
mod view;
mod world;

pub use config::{Config, Pace, SetupError, connect};
pub use host::AgonesHost;
