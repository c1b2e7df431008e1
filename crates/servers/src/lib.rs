//! Game servers and their desired state.
//!
//! - [`server`]: a server as people know it
//! - [`access`]: who may do what on it (pure)
//! - [`batch`]: one action on many servers (pure)
//! - [`operation`]: start, stop, restart, delete as durable requests
//! - [`power`]: decides whether an operation is accepted (pure)
//! - [`gate`]: the traits of what listens in place of a server that sleeps
//! - [`hold`]: keeps everything that acts by itself away from a server (pure)
//! - [`idle`]: decides whether and when a server on which nobody plays is stopped (pure)
//! - [`restart`]: decides whether and when a server that ended by itself is started again (pure)
//! - [`game`]: the catalogue
//! - [`label`]: words by which an owner puts servers together (pure)
//! - [`host`]: the trait of places that run servers
//! - [`players`]: who plays on a server
//! - [`platform`]: the trait of platforms that count players
//! - [`rcon`]: commands over the network, and their answers
//! - [`console`]: lines that a server writes, and commands that are typed
//! - [`store`]: the promises of a database
//! - [`service`]: the rules that both transports share; `sharing`: the rules about shares; [`settings`]: those about
//!   settings

pub mod access;
pub mod batch;
pub mod console;
pub mod game;
pub mod gate;
pub mod hold;
pub mod host;
pub mod idle;
pub mod label;
pub mod operation;
pub mod platform;
pub mod players;
pub mod power;
pub mod rcon;
pub mod restart;
pub mod server;
pub mod service;
pub mod settings;
mod sharing;
pub mod store;

pub use access::{Access, Grantee, Permission, Permissions, Share};
pub use hold::{Hold, NewHold};
pub use idle::{Idle, IdleRule};
pub use label::Label;
pub use operation::{Action, Operation, Origin, Request, State};
pub use restart::{Restart, RestartChoice, RestartOn, RestartPolicy};
pub use server::{NewServer, Server, ServerChange, Status};
pub use service::{Home, Policy, Servers, ServersError};
pub use sharing::SharingError;
