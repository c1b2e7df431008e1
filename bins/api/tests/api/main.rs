//! REST for integrators, on the real program and a real database.

mod actions;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod console;
mod contract;
mod edge;
mod games;
mod guides;
mod holds;
mod idempotency;
mod idle;
mod key_care;
mod key_families;
mod keys;
mod labels;
mod limits;
mod metrics;
mod migrations;
mod notices;
mod operations;
mod pages;
mod players;
mod process;
mod refusal;
mod retention;
mod runbook;
mod schedules;
mod servers;
mod settings;
mod sharing;
mod snapshots;
mod stats;
mod takeover;
mod texts;
mod unknown_words;
