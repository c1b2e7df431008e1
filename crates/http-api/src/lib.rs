//! REST over the domain services. No other crate knows both HTTP and the domains.
//!
//! - `server`: builds the HTTP server; `services`: the services that handlers call
//! - `routes`: the table of the routes; `resource`: builds resources from it
//! - `auth`: identifies the caller; `limit`: tells callers of their limit
//! - `client`: finds the client's address; `forwarded`: finds unknown proxies; `legacy`: tokens of v1.7.0
//! - [`network`]: CORS and time limits; `connection`: closes slow connections
//! - `problem`: errors as RFC 9457 defines them
//! - `current`: request id and trace; `observe`: log lines and metrics
//! - `idempotency`: answers a repeated request with the first answer
//! - `body`, `path`, `page`: read bodies, ids and queries; `wording`: says what is wrong with them
//! - `follow`: a console as server-sent events; `followers`: limits their number
//! - [`openapi`]: builds the document from all this; `docs`: serves it
//! - one module per resource

mod actions;
mod auth;
mod body;
mod client;
mod connection;
mod console;
mod current;
mod docs;
mod follow;
mod followers;
mod forwarded;
mod games;
mod holds;
#[cfg(test)]
mod hostile;
mod hosts;
mod idempotency;
mod idle;
mod keys;
mod legacy;
mod limit;
pub mod network;
mod observe;
pub mod openapi;
mod operations;
mod page;
mod path;
mod power;
mod problem;
mod resource;
mod restarts;
mod routes;
mod schedules;
mod server;
mod servers;
mod services;
mod settings;
mod shares;
mod users;
mod wording;
mod words;

pub use followers::Followers;
pub use forwarded::Unnamed;
pub use legacy::LegacyPolicy;
pub use network::{Network, Origin};
pub use server::serve;
pub use services::{Edge, Services};
