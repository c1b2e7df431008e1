//! The real bot against the stand-in for Discord, beside a real `agis-api` over a real Postgres.

mod batches;
mod buttons;
mod commands;
#[path = "../../../api/tests/common/mod.rs"]
mod common;
mod connection;
mod console;
mod holds;
mod idle;
mod interrupted;
mod keys;
mod labels;
mod names;
mod notices;
mod outage;
mod pages;
mod scene;
mod schedules;
mod secrets;
mod settings;
mod sharing;
mod suggestions;
mod talk;
mod twice;
