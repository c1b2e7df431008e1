//! Postgres behind every domain's store trait. The only crate that names diesel.
//!
//! - `connect`: where the database is, and the one place that makes connections to it
//! - `db`: the pool, and the deadline of every call; `readers`: the connections that reads share; `gather`:
//!   questions that are asked together
//! - [`migrations`]: up, down, status
//! - [`notify`]: what Postgres tells us
//! - `schema`: the tables
//! - a module per table, or per view of it, implementing that domain's trait
//!
//! Locks are taken in one order, so that nothing deadlocks: users, servers by id, operations, schedules, the totals of
//! users, notices, idempotency keys. The shares of a server change behind the lock of its row. They are `FOR NO KEY UPDATE`, which foreign keys do not wait for. Claims never wait for a
//! lock: what others hold is passed over.

mod connect;
mod counts;
mod db;
mod deferrals;
mod desired;
mod error;
mod firings;
mod games;
mod gather;
mod keys;
mod leases;
mod ledger;
pub mod migrations;
mod notices;
pub mod notify;
mod observations;
mod once;
mod operations;
mod purses;
mod readers;
mod replies;
mod retention;
mod schedules;
mod schema;
mod servers;
mod shares;
mod stats;
mod users;
mod word;

pub use connect::{DatabaseUrl, Transport};
pub use db::{Db, DbConfig, PoolState};
