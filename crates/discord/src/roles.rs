//! Records the roles that callers in a guild bring along. A share with a role counts for members who were seen with it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use agis_base::{GuildId, StoreError, UserId};
use agis_servers::Servers;

use crate::call::{Call, Member};

/// Time after which unchanged roles are recorded again: another process may have recorded others meanwhile.
const AGAIN: Duration = Duration::from_secs(60);
/// Maximum number of members that are remembered.
const MEMBERS_MAX: usize = 20_000;

/// Members whose roles were recorded of late.
#[derive(Default)]
pub(crate) struct Noted(Mutex<HashMap<(UserId, GuildId), (Member, Instant)>>);

impl Noted {
    /// Records the caller's roles if they are news. If that fails the caller must not act: permissions would follow
    /// roles that the caller may have lost.
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
