//! Account as which games run.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::config::SetupError;

/// Unprivileged account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// Returns the account to switch to; `None` unless this process is root.
    pub(crate) fn for_games(user: &str) -> Result<Option<Self>, SetupError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let wrong = |why: String| SetupError::Account { user: user.to_owned(), why };
        let passwd = fs::read_to_string("/etc/passwd").map_err(|error| wrong(format!("/etc/passwd: {error}")))?;
        let account = Self::numeric(user).or_else(|| Self::named(user, &passwd)).ok_or_else(|| {
            wrong("/etc/passwd has no such account; write an account of LDAP or systemd as uid:gid".to_owned())
        })?;
        if account.uid == 0 || account.gid == 0 {
            return Err(wrong("games never run as root".to_owned()));
        }
        Ok(Some(account))
    }

    fn numeric(text: &str) -> Option<Self> {
        let (uid, gid) = text.split_once(':')?;
        Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    }

    /// Reads passwd(5) by hand. A library such as `uzers` or `nix::unistd::User` calls getpwnam(3), which loads the
    /// machine's NSS modules. The shipped program is linked statically against glibc, and there such a call crashes:
    /// with `passwd: files systemd` an unknown name ends in a segmentation fault. Name an account of LDAP or systemd by
    /// its numbers.
    fn named(user: &str, passwd: &str) -> Option<Self> {
        let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let entry = fields.into_iter().find(|fields| fields.len() >= 4 && fields[0] == user)?;
        Some(Self { uid: entry[2].parse().ok()?, gid: entry[3].parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn an_account_is_a_name_or_two_numbers() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\ngames:x:5:60:games:/usr/games:/usr/sbin/nologin\n";
        assert_eq!(Account::named("games", passwd), Some(Account { uid: 5, gid: 60 }));
        assert_eq!(Account::named("broken", passwd), None);
        assert_eq!(Account::numeric("1000:1001"), Some(Account { uid: 1000, gid: 1001 }));
        assert_eq!(Account::numeric("games"), None);
    }
}
