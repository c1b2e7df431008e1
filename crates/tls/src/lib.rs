//! TLS to the servers that AGIS is a client of: which of their certificates are trusted, which of ours is shown, and
//! which check failed.
//!
//! - [`client`]: what a connection is made with
//! - `files`: certificates and keys, as operators keep them
//! - `verifier`: less than all checks, where an operator says so
//! - `explain`: a failure in words
//!
//! The cryptography is ring's, as everywhere, whatever provider the process has chosen for others.

pub mod client;
mod explain;
mod files;
mod verifier;

pub use client::{Client, Fault, Identity, Trust, Words};
