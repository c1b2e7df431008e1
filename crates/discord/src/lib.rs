//! Discord over the domain services. The only crate that knows both Discord and the domains.
//!
//! - [`connection`]: runs everything that speaks with Discord: `gateway`, `register` (commands), `members` (roles), `courier`
//!   (notices), `mender` (answers that a dead process owed); [`standing`]: the state of the
//!   connection; `voice`: whether the loops may call it
//! - [`handler`]: takes an interaction and sees to it that it is answered; `admission`: limits and room; `call`: its caller
//!   and arguments; `context`: shared services and state
//! - `verb`, `definitions`: the commands by name, and as Discord shows them; `commands`: a module per command; `find`: the
//!   meaning of a typed name; `autocomplete`: suggestions
//! - `code`: codes of buttons; `buttons`: presses; `pages`: pages of lists; `follow`: messages that follow an operation
//! - `answer`: the result of a command; `reply`: answers at once or deferred, within Discord's three seconds; `once`, `seen`: a second delivery changes nothing;
//!   `repair`: gives an answer that another process owed
//! - `render`: texts that people read; `wording`: every error, as a sentence that says what to do

mod admission;
mod answer;
mod autocomplete;
mod buttons;
mod call;
mod code;
mod commands;
pub mod connection;
mod context;
pub mod courier;
mod definitions;
mod find;
mod follow;
mod gateway;
pub mod handler;
pub mod members;
pub mod mender;
mod once;
mod pages;
mod register;
mod render;
mod repair;
mod reply;
mod roles;
mod seen;
pub mod standing;
mod url;
mod verb;
mod voice;
mod wording;

pub use connection::{Connection, Guild, Loops, Running};
pub use context::{Services, Settings};
pub use standing::Standing;
pub use url::ApiUrl;
