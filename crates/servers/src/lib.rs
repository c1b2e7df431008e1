//! Which game servers exist, and what should they be doing?
//!
//! - [`server`]: a server as people know it
//! - [`access`]: who may do what on it (pure)
//! - [`operation`]: start, stop, restart, delete as durable requests
//! - [`power`]: what meets what (pure)
//! - [`game`]: the catalogue
//! - [`host`]: what a place that runs servers promises
//! - [`console`]: what a server writes, and what is typed for it
//! - [`store`]: what a database promises
//! - [`service`]: the rules that both transports share; `sharing`: those about shares

pub mod access;
pub mod console;
pub mod game;
pub mod host;
pub mod operation;
pub mod power;
pub mod server;
pub mod service;
mod sharing;
pub mod store;

pub use access::{Access, Grantee, Permission, Permissions, Share};
pub use operation::{Action, Operation, Origin, Request, State};
pub use server::{NewServer, Server, ServerChange, Status};
pub use service::{Policy, Servers, ServersError};
