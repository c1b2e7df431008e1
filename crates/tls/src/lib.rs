//! TLS to the servers that AGIS is a client of: trusted certificates, our own certificate, and the check that failed.
//!
//! - [`client`]: the settings of a connection
//! - `files`: certificates and keys, as operators keep them
//! - `verifier`: fewer checks, if an operator says so
//! - `explain`: failures in words
//!
//! ring does all cryptography, whatever provider the process has chosen for others.

pub mod client;
mod explain;
mod files;
mod verifier;

pub use client::{Client, Fault, Identity, Trust, Words};
