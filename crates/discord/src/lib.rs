//! Discord over the domain services. The only crate that knows both Discord and the domains.
//!
//! - `definitions`: the commands as Discord is told them
//! - [`handler`]: everything between "an interaction came" and "it is answered"
//! - `call`: who asks, and for what; `once`, `seen`: what is delivered twice is done once
//! - `reply`: at once or deferred, within Discord's three seconds
//! - `repair`: answers that a process owes which has died
//! - `commands`: a module per command; `find`: what a typed name means; `autocomplete`: what may be typed
//! - `buttons`: the codes that buttons carry; `pages`: lists in pieces; `follow`: a message that follows an operation
//! - [`connection`]: everything that speaks with Discord, from its start to its end: `gateway`, `register`, `members` (which
//!   roles people have), `courier` (what they have to be told); [`standing`]: how the bot stands with Discord; `voice`:
//!   whether the loops may call it
//! - `render`: what people read; `wording`: every error, as a sentence that says what to do

mod autocomplete;
mod buttons;
mod call;
mod commands;
pub mod connection;
pub mod courier;
mod definitions;
mod find;
mod follow;
mod gateway;
pub mod handler;
pub mod members;
mod once;
mod pages;
mod register;
mod render;
pub mod repair;
mod reply;
mod roles;
mod seen;
pub mod standing;
mod url;
mod voice;
mod wording;

pub use connection::{Connection, Guild, Loops, Running};
pub use handler::{Services, Settings};
pub use standing::Standing;
pub use url::ApiUrl;
