//! Environment, telemetry, health, shutdown: needs of every program, without the domain.
//!
//! - [`mod@env`]: reads configuration once, reports all its errors together
//! - [`mod@listen`]: takes a port, or says which setting helps
//! - [`telemetry`]: logs and metrics
//! - [`health`]: the state of each component
//! - [`ops`]: the HTTP server for probes and scrapes
//! - [`loops`]: the driver of background loops
//! - [`shutdown`]: the signals that end the process

pub mod env;
pub mod health;
pub mod listen;
pub mod loops;
pub mod ops;
pub mod shutdown;
pub mod telemetry;

pub use env::{ConfigErrors, Env};
pub use health::{Component, Health};
pub use listen::listen;
pub use loops::Loop;
pub use telemetry::Metrics;
