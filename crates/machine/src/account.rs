//! Accounts of games: each server has its own, so no game reads, signals or fills up what is another's.

use std::{fs, io, ops::RangeInclusive, os::unix::fs::lchown, path::Path};

use agis_base::ServerId;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use serde::{Deserialize, Serialize};

/// Unprivileged account: a user, and the group of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account(u32);

impl Account {
    /// Returns the account of this number.
    pub fn numbered(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number of the user.
    pub fn uid(self) -> u32 {
        self.0
    }

    /// Returns the number of the group.
    pub fn gid(self) -> u32 {
        self.0
    }

    /// Turns this process into one of the account, without supplementary groups and for good.
    pub fn become_it(self) -> io::Result<()> {
        let wrong = |error: nix::Error| {
            io::Error::new(io::Error::from(error).kind(), format!("the account {} of GAME_UIDS: {error}", self.0))
        };
        setgroups(&[]).map_err(wrong)?;
        setgid(Gid::from_raw(self.0)).map_err(wrong)?;
        setuid(Uid::from_raw(self.0)).map_err(wrong)
    }
}

/// Accounts of the servers of a host that root runs.
#[derive(Debug, Clone)]
pub struct Accounts(RangeInclusive<u32>);

impl Accounts {
    /// Returns the accounts to switch to; `None` unless this process is root.
    pub fn for_games(uids: RangeInclusive<u32>) -> Option<Self> {
        rustix::process::geteuid().is_root().then_some(Self(uids))
    }

    /// Checks that this machine has the accounts: a container may have few. Writes and removes a file at `path`, unless the
    /// disk is full.
    pub fn check(&self, path: &Path) -> io::Result<()> {
        if fs::write(path, "").is_err() {
            return Ok(());
        }
        let ends = [self.0.start(), self.0.end()];
        let owned = ends.into_iter().try_for_each(|uid| lchown(path, Some(*uid), Some(*uid)));
        fs::remove_file(path)?;
        owned
    }

    /// Returns the account of some server.
    pub fn first(&self) -> Account {
        Account(*self.0.start())
    }

    /// Returns the account of a server. The range begins again after its end.
    pub fn of(&self, server: ServerId) -> Account {
        let place = i64::from(server.0).saturating_sub(1).rem_euclid(self.size());
        Account(self.0.start().saturating_add(u32::try_from(place).unwrap_or_default()))
    }

    /// Returns whether both servers have one account, since the range is small.
    pub fn are_shared(&self, server: ServerId, other: ServerId) -> bool {
        server != other && self.of(server) == self.of(other)
    }

    /// Returns whether the range has begun again before this server.
    pub fn may_share(&self, server: ServerId) -> bool {
        i64::from(server.0) > self.size()
    }

    fn size(&self) -> i64 {
        i64::from(*self.0.end()) - i64::from(*self.0.start()) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_an_account_until_the_range_ends() {
        let accounts = Accounts(1000..=1002);
        assert_eq!([1, 2, 3, 4, 7].map(|id| accounts.of(ServerId(id)).uid()), [1000, 1001, 1002, 1000, 1000]);
        assert!(accounts.are_shared(ServerId(4), ServerId(1)) && !accounts.are_shared(ServerId(4), ServerId(2)));
        assert!(accounts.may_share(ServerId(4)) && !accounts.may_share(ServerId(3)));
    }
}
