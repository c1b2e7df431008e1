//! Promises of a database. Every method is one whole decision; no transaction crosses these traits.
//!
//! - `servers`, `settings`, `shares`, `operations`, `commands`, `games`, `holds`, `announcements`: for requests
//! - `batches`: for requests, and for the loop that goes on with them
//! - `leases`: for workers, which carry out operations
//! - `observations`: for watchers, which compare a host with its rows
//! - `restarts`: for the supervisor, which starts servers again that ended by themselves
//! - `idle`: for stops of servers on which nobody plays
//! - `counts`: for dashboards; `hosts`: for operators
//! - `retention`: ends and forgets what is old

mod announcements;
mod batches;
mod billing;
mod commands;
mod counts;
mod games;
mod holds;
mod hosts;
mod idle;
mod leases;
mod observations;
mod operations;
mod page;
mod players;
mod restarts;
mod retention;
mod servers;
mod settings;
mod shares;

pub use self::{
    announcements::AnnouncementStore,
    batches::{BatchError, BatchStore, BatchesQuery, Ended},
    billing::Billing,
    commands::{CommandStore, REPLY_KEPT},
    counts::CountStore,
    games::{GameStore, UNAVAILABLE_FOR},
    holds::HoldStore,
    hosts::{HostState, HostStore, LetGo, SERVED_FOR},
    idle::{Announced, IdleRound, IdleStore, Sleeper, Sleepers},
    leases::{Claim, Due, Facts, Finished, Held, LeaseStore, Outcome},
    observations::{ObservationStore, Published},
    operations::{Accepted, OperationFilter, OperationStore},
    page::Page,
    players::{Counted, PlayerStore, Probe},
    restarts::{RestartStore, Restarted},
    retention::RetentionStore,
    servers::{ServerFilter, ServerStore, Terms, WriteError},
    settings::{Launched, SETTINGS_BYTES, SettingStore, SettingsWriteError, StoredSettings},
    shares::{ShareError, ShareLimits, ShareStore},
};
