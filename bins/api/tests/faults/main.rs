//! What must hold while processes are killed and the database goes away.

#[path = "../common/mod.rs"]
mod common;
mod games;
