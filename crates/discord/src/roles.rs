//! Whoever asks in a guild brings their roles along; what is shared with a role counts for those who were seen with it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use agis_base::{GuildId, StoreError, UserId};
use agis_servers::Servers;

use crate::call::{Call, Member};

/// Roles that have not changed are noted again after so long: another process may have noted others meanwhile.
const AGAIN: Duration = Duration::from_secs(60);
/// How many members are remembered.
const MEMBERS_MAX: usize = 20_000;

/// The members whose roles were noted of late.
#[derive(Default)]
pub(crate) struct Noted(Mutex<HashMap<(UserId, GuildId), (Member, Instant)>>);

impl Noted {
    /// Notes the roles of who asks, where there is news. Where that fails nothing is to be done: what they may would be
    /// decided by roles that they may have lost.
    pub(crate) async fn note(&self, servers: &Servers, call: &Call) -> Result<(), StoreError> {
        let Some(member) = &call.member else { return Ok(()) };
        if !self.knows(&call.user, member) {
            servers.note_roles(&call.user, &member.guild, &member.roles).await?;
            self.keep(&call.user, member);
        }
        Ok(())
    }

    fn knows(&self, user: &UserId, member: &Member) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.get(&(user.clone(), member.guild.clone()));
        known.is_some_and(|(known, at)| known == member && at.elapsed() < AGAIN)
    }

    fn keep(&self, user: &UserId, member: &Member) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MEMBERS_MAX {
            held.clear();
        }
        held.insert((user.clone(), member.guild.clone()), (member.clone(), Instant::now()));
    }
}
