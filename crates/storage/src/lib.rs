//! Postgres behind every domain's store trait. The only crate that names diesel.
//!
//! - `connect`: the address of the database, and the one place that connects to it
//! - `db`: the pool, and the deadline of every call; `readers`: connections that reads share; `gather`: lookups that are
//!   collected
//! - [`migrations`]: up, down, status
//! - [`notify`]: notifications of Postgres
//! - `schema`: the tables; `word`, `json`: values of the domains in columns
//! - `desired`, `once`, `purses`, `stats`: parts of transactions of several modules
//! - a module per table, or per view of it, implementing that domain's trait
//!
//! Transactions take locks in one order, so that nothing deadlocks: batches, users, servers by id, operations, schedules, the totals
//! of users, notices, idempotency keys, players of servers. The lock of a server's row also guards its shares. Locks are `FOR NO KEY UPDATE`:
//! foreign keys do not wait for them. Claims wait for no lock: they pass over rows that others hold.

mod announcements;
mod batches;
mod chains;
mod commands;
mod connect;
mod counts;
mod db;
mod deferrals;
mod desired;
mod error;
mod firings;
mod games;
mod gather;
mod holds;
mod hosts;
mod idle;
mod json;
mod keys;
mod labels;
mod leases;
mod ledger;
mod many;
pub mod migrations;
mod notices;
pub mod notify;
mod observations;
mod once;
mod operations;
mod players;
mod purses;
mod readers;
mod relay;
mod replies;
mod restarts;
mod retention;
mod schedules;
mod schema;
mod server_runs;
mod servers;
mod settings;
mod shares;
mod stats;
mod users;
mod word;

pub use connect::{DatabaseUrl, Transport};
pub use db::{Db, DbConfig, PoolState};
