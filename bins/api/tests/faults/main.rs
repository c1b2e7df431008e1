//! Promises that hold while processes are killed and the database goes away.

mod agones;
mod ahead;
mod announcements;
mod authority;
mod billing;
#[path = "../common/mod.rs"]
mod common;
mod containers;
mod database;
mod debian;
mod exactly_once;
mod expiry;
mod fleet;
mod games;
mod gates;
mod good_ends;
mod hosts;
mod idle;
mod leases;
mod many;
mod missed;
mod notices;
mod openarena;
mod outages;
mod recovery;
mod redis;
mod restarts;
mod rolling;
mod steps;
mod tls;
mod zones;
