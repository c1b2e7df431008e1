//! Permissions and scopes of keys.

use std::{collections::BTreeSet, fmt, str::FromStr};

use agis_base::{Reach, ServerId};
use thiserror::Error;

/// Permission that a request needs and a scope gives. `write:x` includes `read:x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// See servers, their operations and consoles.
    ReadServers,
    /// Create, change, start, stop and delete servers, and type into their consoles.
    WriteServers,
    /// See schedules and their history.
    ReadSchedules,
    /// Create, change, run and delete schedules.
    WriteSchedules,
    /// See keys; never the keys themselves.
    ReadKeys,
    /// Create, change, rotate and revoke keys.
    WriteKeys,
    /// See the hosts. For operators: only their command and keys that have it can give it.
    ReadHosts,
}

/// Scope of a key: a permission on all servers of its owner (`write:servers`) or on one of them (`write:servers:7`), or
/// every permission (`*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// A permission on every server.
    Of(Permission),
    /// A permission on this server alone.
    On(Permission, ServerId),
    /// Every permission on what the owner has, with those that later versions add. The hosts are the operator's.
    All,
}

/// Error: a text is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a scope; use one of: {list}; those of servers and schedules may name one server, as in \
         'write:servers:7'", list = Scope::WORDS.join(", "))]
pub struct UnknownScope(pub String);

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 7] = [
        Self::ReadServers,
        Self::WriteServers,
        Self::ReadSchedules,
        Self::WriteSchedules,
        Self::ReadKeys,
        Self::WriteKeys,
        Self::ReadHosts,
    ];

    /// Returns the word of the scope that gives this permission.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadServers => "read:servers",
            Self::WriteServers => "write:servers",
            Self::ReadSchedules => "read:schedules",
            Self::WriteSchedules => "write:schedules",
            Self::ReadKeys => "read:keys",
            Self::WriteKeys => "write:keys",
            Self::ReadHosts => "read:hosts",
        }
    }

    /// Checks whether this permission includes `needed`.
    pub fn includes(self, needed: Self) -> bool {
        self == needed
            || matches!(
                (self, needed),
                (Self::WriteServers, Self::ReadServers)
                    | (Self::WriteSchedules, Self::ReadSchedules)
                    | (Self::WriteKeys, Self::ReadKeys)
            )
    }

    /// Checks whether this permission is for operators. `*` does not include it.
    pub fn is_of_operators(self) -> bool {
        self == Self::ReadHosts
    }

    /// Checks whether this permission is about servers. A scope can give such a permission for one server.
    fn is_of_servers(self) -> bool {
        !matches!(self, Self::ReadKeys | Self::WriteKeys | Self::ReadHosts)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Scope {
    /// Returns the words of the scopes that name no server.
    pub const WORDS: [&'static str; 8] = [
        Permission::ReadServers.as_str(),
        Permission::WriteServers.as_str(),
        Permission::ReadSchedules.as_str(),
        Permission::WriteSchedules.as_str(),
        Permission::ReadKeys.as_str(),
        Permission::WriteKeys.as_str(),
        Permission::ReadHosts.as_str(),
        "*",
    ];
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(permission) => permission.fmt(f),
            Self::On(permission, server) => write!(f, "{permission}:{server}"),
            Self::All => f.write_str("*"),
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let unknown = || UnknownScope(text.chars().take(40).collect());
        if text == "*" {
            return Ok(Self::All);
        }
        let permission = Permission::ALL.into_iter().find(|permission| {
            text.strip_prefix(permission.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        let permission = permission.ok_or_else(unknown)?;
        let Some(server) = text[permission.as_str().len()..].strip_prefix(':') else {
            return Ok(Self::Of(permission));
        };
        // An id is written in one way only, so no key has the same scope twice.
        let id = server.parse().ok().filter(|_: &ServerId| permission.is_of_servers());
        id.map(|id| Self::On(permission, id)).ok_or_else(unknown)
    }
}

/// Scopes of a key, sorted and without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Returns the servers on which these scopes give `needed`; `None` if they give it on no server.
    pub fn reach(&self, needed: Permission) -> Option<Reach> {
        let mut only = BTreeSet::new();
        for scope in &self.0 {
            match scope {
                Scope::All if !needed.is_of_operators() => return Some(Reach::Every),
                Scope::Of(held) if held.includes(needed) => return Some(Reach::Every),
                Scope::On(held, server) if held.includes(needed) => {
                    only.insert(*server);
                }
                Scope::All | Scope::Of(_) | Scope::On(..) => {}
            }
        }
        (!only.is_empty()).then_some(Reach::Only(only))
    }

    /// Returns the first of the `wanted` scopes that these scopes do not include.
    pub fn first_beyond(&self, wanted: &Self) -> Option<Scope> {
        wanted.0.iter().copied().find(|scope| match scope {
            Scope::All => !self.0.contains(&Scope::All),
            Scope::Of(permission) => self.reach(*permission) != Some(Reach::Every),
            Scope::On(permission, server) => !self.reach(*permission).is_some_and(|reach| reach.covers(*server)),
        })
    }

    /// Checks whether there is no scope.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of scopes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Iterates over the scopes.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<_> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scopes(words: &str) -> Scopes {
        words.split_whitespace().map(|word| word.parse::<Scope>().expect("a scope")).collect()
    }

    #[test]
    fn write_includes_read_and_nothing_else() {
        let table = [
            ("read:servers", "read:servers"),
            ("write:servers", "read:servers write:servers"),
            ("read:schedules", "read:schedules"),
            ("write:schedules", "read:schedules write:schedules"),
            ("read:keys", "read:keys"),
            ("write:keys", "read:keys write:keys"),
            ("*", "read:servers write:servers read:schedules write:schedules read:keys write:keys"),
            ("read:hosts", "read:hosts"),
        ];
        for (held, allowed) in table {
            let expected: Vec<_> = allowed.split(' ').collect();
            let reach = |needed: &Permission| scopes(held).reach(*needed) == Some(Reach::Every);
            let actual: Vec<_> = Permission::ALL.into_iter().filter(reach).map(Permission::as_str).collect();
            assert_eq!(actual, expected, "{held}");
        }
    }

    #[test]
    fn a_scope_on_a_server_reaches_that_server() {
        let held = scopes("read:servers write:servers:7 write:servers:9 read:schedules:7");
        let only = |ids: &[i32]| Some(Reach::Only(ids.iter().map(|id| ServerId(*id)).collect()));
        assert_eq!(held.reach(Permission::ReadServers), Some(Reach::Every));
        assert_eq!(held.reach(Permission::WriteServers), only(&[7, 9]));
        assert_eq!(held.reach(Permission::ReadSchedules), only(&[7]));
        assert_eq!(held.reach(Permission::WriteSchedules), None);
        assert_eq!(held.reach(Permission::ReadKeys), None);
    }

    #[test]
    fn scopes_beyond_are_found() {
        let table = [
            ("write:servers read:keys", "read:servers", None),
            ("write:servers read:keys", "read:servers:7 write:servers:9", None),
            ("write:servers read:keys", "write:keys", Some("write:keys")),
            ("write:servers read:keys", "*", Some("*")),
            ("write:servers:7", "read:servers:7", None),
            ("write:servers:7", "read:servers:8", Some("read:servers:8")),
            ("write:servers:7", "write:servers", Some("write:servers")),
            ("read:servers:7", "write:servers:7", Some("write:servers:7")),
            ("*", "* write:keys read:schedules:3", None),
            ("*", "read:hosts", Some("read:hosts")),
            ("* read:hosts", "read:hosts", None),
        ];
        for (held, wanted, beyond) in table {
            let found = scopes(held).first_beyond(&scopes(wanted)).map(|scope| scope.to_string());
            assert_eq!(found.as_deref(), beyond, "{held} gives {wanted}");
        }
    }

    #[test]
    fn unknown_scope_is_named() {
        for word in ["read:server", "read:servers:", "read:servers:07", "read:servers:0", "write:keys:7", "*:7", ""] {
            let error = word.parse::<Scope>().expect_err(word).to_string();
            assert!(error.starts_with(&format!("'{word}' is not a scope; use one of: read:servers, ")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(
            text in "(\\*|(read|write):(servers|schedules|keys)(:-?[0-9]{0,12})?|.{0,20})",
        ) {
            if let Ok(scope) = text.parse::<Scope>() {
                prop_assert_eq!(scope.to_string(), text);
            }
        }
    }
}
