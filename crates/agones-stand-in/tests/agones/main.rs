//! The stand-in for Kubernetes, tried by the client that the real host is built on.

mod agones;
mod faults;
mod objects;
mod scene;
mod schema;
mod watching;
