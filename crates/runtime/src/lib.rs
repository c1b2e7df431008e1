//! Environment, telemetry, health, shutdown: needs of every program, without the domain.
//!
//! - [`mod@env`]: reads configuration once, reports all its errors together
//! - [`mod@listen`]: takes a port, or says which setting helps
//! - [`telemetry`]: logs and metrics
//! - [`health`]: the state of each component
//! - [`ops`]: the HTTP server for probes and scrapes
//! - [`mod@every`]: a loop that survives its failures
//! - [`shutdown`]: the signals that end the process

pub mod env;
pub mod every;
pub mod health;
pub mod listen;
pub mod ops;
pub mod shutdown;
pub mod telemetry;

pub use env::{ConfigErrors, Env};
pub use every::every;
pub use health::{Component, Health};
pub use listen::listen;
pub use telemetry::Metrics;
