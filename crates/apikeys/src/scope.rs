//! What a key may do.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// What a key may do. `write:x` includes `read:x`; `*` includes everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// See servers, their operations and consoles.
    ReadServers,
    /// Create, change, start, stop and delete servers.
    WriteServers,
    /// See schedules and their history.
    ReadSchedules,
    /// Create, change, run and delete schedules.
    WriteSchedules,
    /// See keys; never the keys themselves.
    ReadKeys,
    /// Create and revoke keys.
    WriteKeys,
    /// Everything, also what later versions add.
    All,
}

/// The text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no scope; use one of: {list}", list = Scope::ALL.map(Scope::as_str).join(", "))]
pub struct UnknownScope(pub String);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 7] = [
        Self::ReadServers,
        Self::WriteServers,
        Self::ReadSchedules,
        Self::WriteSchedules,
        Self::ReadKeys,
        Self::WriteKeys,
        Self::All,
    ];

    /// The word that the database and REST use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadServers => "read:servers",
            Self::WriteServers => "write:servers",
            Self::ReadSchedules => "read:schedules",
            Self::WriteSchedules => "write:schedules",
            Self::ReadKeys => "read:keys",
            Self::WriteKeys => "write:keys",
            Self::All => "*",
        }
    }

    /// Whether holding this scope allows what `needed` allows.
    pub fn includes(self, needed: Self) -> bool {
        match self {
            Self::All => true,
            Self::WriteServers => matches!(needed, Self::WriteServers | Self::ReadServers),
            Self::WriteSchedules => matches!(needed, Self::WriteSchedules | Self::ReadSchedules),
            Self::WriteKeys => matches!(needed, Self::WriteKeys | Self::ReadKeys),
            Self::ReadServers | Self::ReadSchedules | Self::ReadKeys => self == needed,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// The scopes of a key, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Whether they allow what `needed` allows.
    pub fn allow(&self, needed: Scope) -> bool {
        self.0.iter().any(|scope| scope.includes(needed))
    }

    /// The first of `wanted` that these do not allow.
    pub fn first_beyond(&self, wanted: &Scopes) -> Option<Scope> {
        wanted.0.iter().copied().find(|scope| !self.allow(*scope))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
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
    use super::*;

    #[test]
    fn write_includes_read_of_the_same_and_nothing_else() {
        let table = [
            (Scope::ReadServers, "read:servers"),
            (Scope::WriteServers, "read:servers write:servers"),
            (Scope::ReadSchedules, "read:schedules"),
            (Scope::WriteSchedules, "read:schedules write:schedules"),
            (Scope::ReadKeys, "read:keys"),
            (Scope::WriteKeys, "read:keys write:keys"),
            (Scope::All, "read:servers write:servers read:schedules write:schedules read:keys write:keys *"),
        ];
        for (held, allowed) in table {
            let expected: Vec<_> = allowed.split(' ').collect();
            let actual: Vec<_> =
                Scope::ALL.into_iter().filter(|needed| held.includes(*needed)).map(Scope::as_str).collect();
            assert_eq!(actual, expected, "{held}");
        }
    }

    #[test]
    fn scopes_beyond_are_found() {
        let held: Scopes = [Scope::WriteServers, Scope::ReadKeys].into_iter().collect();
        assert_eq!(held.first_beyond(&[Scope::ReadServers].into_iter().collect()), None);
        assert_eq!(held.first_beyond(&[Scope::WriteKeys].into_iter().collect()), Some(Scope::WriteKeys));
        assert_eq!(held.first_beyond(&[Scope::All].into_iter().collect()), Some(Scope::All));
    }

    #[test]
    fn an_unknown_scope_is_named_with_what_there_is() {
        let error = "read:server".parse::<Scope>().expect_err("no scope").to_string();
        assert!(error.starts_with("'read:server' is no scope; use one of: read:servers, "), "{error}");
    }
}
