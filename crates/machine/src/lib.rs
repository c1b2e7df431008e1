//! Directories and ports of the servers on this machine. Every host of a machine agrees on these. Linux only.
//!
//! - [`Machine`] (`machine`): the data directory, with values that are fixed at start; [`Config`], [`SetupError`]
//! - [`dir`]: a server's directory and its generation fence; `lock`: flock(2)
//! - [`replace`]: replaces small files, on a full disk too
//! - [`boot`]: tells a reboot; [`account`]: accounts of the games; [`ports`]: claims of ports
//! - [`values`]: fills placeholders of the catalogue in; [`files`]: writes its files into a working directory
//! - [`within`]: prepares a world by a child that reaches nothing else
//! - [`ready`]: checks for players' entry
//! - [`room`]: room of the disk and the memory; [`disk`]: space of worlds, and the reserve
//! - [`trash`]: keeps worlds of deleted servers

pub mod account;
pub mod boot;
mod config;
pub mod dir;
pub mod disk;
pub mod files;
mod lock;
mod machine;
pub mod ports;
pub mod ready;
pub mod replace;
pub mod room;
pub mod trash;
pub mod values;
pub mod within;

pub use config::{Config, SetupError};
pub use machine::{Machine, SERVERS, host_file, server_dir, settled};
