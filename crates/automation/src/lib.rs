//! Joins the scheduler to the servers, and holds the background loops.
//!
//! - [`scheduler`]: due schedules become firings, firings become operations
//! - [`chains`]: runs with steps are carried out
//! - [`many`]: runs of schedules for labels become a run on every server
//! - [`settle`]: ended operations end their firings
//! - [`worker`]: operations are carried out on hosts
//! - [`watcher`]: servers that end by themselves are published as stopped or crashed
//! - [`supervisor`]: servers that ended by themselves are started again
//! - [`batches`]: one action on many servers goes on, server by server
//! - [`idle`]: servers on which nobody plays are stopped
//! - [`prober`]: running servers are asked who plays
//! - [`biller`]: servers that run are paid for
//! - [`games`]: which games the host can run
//! - [`consoles`]: consoles answer processes that do not reach their host
//! - [`gates`]: a player who joins wakes a server that sleeps
//! - [`hosts`]: the host is reported, and claimed for its data directory
//! - [`housekeeping`]: what expires, is forgotten, or is counted
//!
//! The program drives the rounds of each loop. A loop survives the failure of one item, and may run in any number of
//! processes at once: the database and the hosts decide what happens once.

pub mod batches;
pub mod biller;
pub mod chains;
pub mod consoles;
pub mod games;
pub mod gates;
pub mod hosts;
pub mod housekeeping;
pub mod idle;
pub mod many;
mod parts;
mod places;
pub mod prober;
pub mod scheduler;
pub mod settle;
pub mod supervisor;
pub mod watcher;
pub mod worker;

pub use batches::Batches;
pub use biller::Biller;
pub use chains::{Acts, Chains, Gate};
pub use consoles::Consoles;
pub use games::Games;
pub use gates::Gates;
pub use housekeeping::Housekeeping;
pub use idle::Idler;
pub use many::Many;
pub use prober::{Prober, Probing};
pub use scheduler::Scheduler;
pub use settle::Settler;
pub use supervisor::Supervisor;
pub use watcher::{Unseen, Watcher};
pub use worker::Workers;
