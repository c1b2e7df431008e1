//! Discord over the domain services. The only crate that knows both Discord and the domains.
//!
//! - [`definitions`]: the commands as Discord is told them
//! - [`handler`]: everything between "an interaction came" and "it is answered"
//! - `call`: who asks, and for what; `once`, `seen`: what is delivered twice is done once
//! - `reply`: at once or deferred, within Discord's three seconds
//! - `commands`: a module per command; `find`: what a typed name means; `autocomplete`: what may be typed
//! - `buttons`: the codes that buttons carry; `follow`: a message that follows an operation
//! - `render`: what people read; `wording`: every error, as a sentence that says what to do

mod autocomplete;
mod buttons;
mod call;
mod commands;
mod definitions;
mod find;
mod follow;
pub mod handler;
mod once;
mod render;
mod reply;
mod roles;
mod seen;
mod wording;

pub use definitions::definitions;
pub use handler::{Handler, Services, Settings};
