use std::time::Duration;

use agis_base::{CommandId, Reason, ServerId, StoreError};
use async_trait::async_trait;

use super::Page;
use crate::{
    console::{CommandOutcome, CommandRecord, NewCommand},
    rcon::{RconPassword, RconSeat},
};

/// Maximum length of a stored answer, in characters.
pub const REPLY_KEPT: usize = 4000;

/// Commands as rows. Nobody sends one again.
#[async_trait]
pub trait CommandStore: Send + Sync {
    /// Notes a command right before it is sent, as [`CommandOutcome::Sent`]. Fails as a conflict if it was noted before and
    /// not refused, or if it is that of a step that has ended.
    async fn note_command(&self, command: &NewCommand) -> Result<(), StoreError>;

    /// Notes the outcome of a command, and the beginning of its answer. An outcome that is known stays: only
    /// [`CommandOutcome::Sent`] and [`CommandOutcome::Unanswered`] are replaced.
    async fn end_command(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        reply: Option<&str>,
        error: Option<&Reason>,
    ) -> Result<(), StoreError>;

    /// Returns a command that was noted.
    async fn sent_command(&self, id: CommandId) -> Result<Option<CommandRecord>, StoreError>;

    /// Returns the commands of a server, the latest first.
    async fn commands(&self, server: ServerId, page: Page<CommandId>) -> Result<Vec<CommandRecord>, StoreError>;

    /// Returns the password of a server's RCON, whether it runs or not; `None` if no generation has begun since servers have
    /// one.
    async fn rcon_password(&self, server: ServerId) -> Result<Option<RconPassword>, StoreError>;

    /// Returns the facts for the RCON of a server; `None` if it does not run.
    async fn rcon_seat(&self, server: ServerId) -> Result<Option<RconSeat>, StoreError>;

    /// Forgets up to `limit` commands that were sent longer than `age` ago.
    async fn forget_commands(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}
