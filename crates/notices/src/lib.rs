//! Who has to be told what?
//!
//! - [`notice`]: something that the owner of a server has to hear
//! - [`retry`]: how often it is tried to tell them (pure)
//! - [`store`]: what a database promises
//! - [`service`]: the rules for whoever sends
//!
//! A notice is written in the transaction that ends an operation badly or records a crash, once. Whoever can reach
//! people claims it under a lease, sends it, and says what became of that. One who dies between sending and saying so is
//! followed by another: the notice's id is there for the receiving side to know it again.

pub mod notice;
pub mod retry;
pub mod service;
pub mod store;

pub use notice::{Kind, Notice, NoticeId};
pub use service::{LEASE, Notices};
pub use store::{Claimed, Failure, NoticeStore};
