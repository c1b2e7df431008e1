//! News for owners: whom to tell, and what?
//!
//! - [`notice`]: news for the owner of a server
//! - [`retry`]: times of the attempts to deliver it (pure)
//! - [`store`]: the promises of a database
//! - [`service`]: the rules for senders
//!
//! The transaction that ends an operation badly or records a crash writes a notice, once. A process that can reach
//! people claims it under a lease, sends it, and records the result. If it dies between sending and recording, another
//! process sends again: the notice's id lets the receiving side recognise it.

pub mod notice;
pub mod retry;
pub mod service;
pub mod store;

pub use notice::{Kind, Notice, NoticeId};
pub use service::{LEASE, Notices};
pub use store::{Claimed, Failure, NoticeStore};
