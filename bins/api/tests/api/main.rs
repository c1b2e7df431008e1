//! What integrators meet: REST on the real program and a real database.

#[path = "../common/mod.rs"]
mod common;
mod servers;
