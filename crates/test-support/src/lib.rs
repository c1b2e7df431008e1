//! A real database for each test, faults, and the parts that every stand-in has.
//!
//! - [`Database`]: an empty database for one test
//! - [`proxy`]: a TCP proxy that loses the connection on purpose
//! - [`clock`]: programs under test share the test's clock
//! - [`wait`]: the one place where a test may sleep
//! - [`hub`]: the state of a stand-in, and its bell

pub mod clock;
mod database;
pub mod hub;
pub mod proxy;
pub mod wait;

pub use database::Database;
