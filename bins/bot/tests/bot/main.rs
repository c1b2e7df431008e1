//! The real bot against the stand-in for Discord, beside a real `agis-api` over a real Postgres.

#[path = "../../../api/tests/common/mod.rs"]
mod common;
mod connection;
mod scene;
