//! REST over the domain services. The only crate that knows both HTTP and the domains.
//!
//! - `server`: the server, its limits, and the table of routes
//! - `routes`: what a resource takes, and asks of its caller
//! - `auth`: who calls, and how often; the scope that a handler asks for stands in its signature
//! - `client`: from where; `forwarded`: through a proxy that nobody has named; `legacy`: the tokens of v1.7.0
//! - [`network`]: web pages, and how long anything may take; `connection`: slow and deaf clients
//! - `problem`: every error, as RFC 9457 says it
//! - `observe`: request ids, log lines, metrics
//! - `idempotency`: what is asked again is answered again
//! - `body`, `page`: what comes in, what goes out; `wording`: what is wrong with it
//! - `follow`: a console as server-sent events; `followers`: how many
//! - [`openapi`]: the contract, made from all this; `docs`: where it is served
//! - a module per resource

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
#[cfg(test)]
mod hostile;
mod idempotency;
mod keys;
mod legacy;
mod limit;
pub mod network;
mod observe;
pub mod openapi;
mod operations;
mod page;
mod path;
mod problem;
mod resource;
mod routes;
mod schedules;
mod server;
mod servers;
mod services;
mod users;
mod wording;
mod words;

pub use followers::Followers;
pub use forwarded::Unnamed;
pub use legacy::LegacyPolicy;
pub use network::{Network, Origin};
pub use server::serve;
pub use services::{Edge, Services};
