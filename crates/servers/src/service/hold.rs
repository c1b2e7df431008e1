//! Rules about holds.

use agis_base::{ServerId, Timestamp, UserId};

use super::{Servers, ServersError, invalid};
use crate::{
    access::Permission,
    hold::{LONGEST, NewHold, REASON_MAX},
    server::Server,
};

impl Servers {
    /// Holds a server, in place of an earlier hold. Whoever may make schedules for it may keep them away, too.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does, and if a value is invalid.
    pub async fn hold(
        &self,
        caller: &UserId,
        id: ServerId,
        hold: NewHold,
        now: Timestamp,
    ) -> Result<Server, ServersError> {
        self.may_change_hold(caller, id, now).await?;
        let NewHold { until, reason } = hold;
        if until.is_some_and(|until| until <= now || until > now + LONGEST) {
            let rule = "is a time to come, within a year; leave it out, and the hold lasts until somebody releases it";
            return Err(invalid("until", rule.to_owned()));
        }
        let reason = reason.as_deref().map(checked_reason).transpose()?.filter(|reason| !reason.is_empty());
        let held = self.holds.hold(id, caller, &NewHold { until, reason }).await?;
        held.ok_or(ServersError::NotFound("server"))
    }

    /// Ends the hold of a server, if it has one. The supervisor looks at the server again.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does.
    pub async fn release(&self, caller: &UserId, id: ServerId, now: Timestamp) -> Result<Server, ServersError> {
        self.may_change_hold(caller, id, now).await?;
        self.holds.release(id).await?.ok_or(ServersError::NotFound("server"))
    }

    /// A hold that stands is its maker's, and the owner's: others would silently undo it.
    async fn may_change_hold(&self, caller: &UserId, id: ServerId, now: Timestamp) -> Result<(), ServersError> {
        let server = self.allowed(caller, id, Permission::Schedule).await?;
        let is_anothers = server.held(now).is_some_and(|hold| hold.by != *caller);
        if is_anothers && server.owner != *caller { Err(ServersError::NotAllowed) } else { Ok(()) }
    }
}

fn checked_reason(text: &str) -> Result<String, ServersError> {
    let text = text.trim();
    if text.chars().count() > REASON_MAX || text.contains(char::is_control) {
        return Err(invalid("reason", format!("has at most {REASON_MAX} characters on one line")));
    }
    Ok(text.to_owned())
}
