use std::collections::BTreeSet;

use crate::ServerId;

/// Servers of a user that an API key or a caller extends to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All servers, also future ones.
    Every,
    /// Only these servers.
    Only(BTreeSet<ServerId>),
}

impl Reach {
    /// Returns whether it extends to this server.
    pub fn covers(&self, server: ServerId) -> bool {
        match self {
            Self::Every => true,
            Self::Only(servers) => servers.contains(&server),
        }
    }

    /// Returns the servers that it is limited to, for a query; `None` if it has no limit.
    pub fn narrowed_to(&self) -> Option<Vec<i32>> {
        match self {
            Self::Every => None,
            Self::Only(servers) => Some(servers.iter().map(|id| id.0).collect()),
        }
    }

    /// Returns the servers in both reaches.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(mut servers), Self::Only(more)) => {
                servers.extend(more);
                Self::Only(servers)
            }
            _ => Self::Every,
        }
    }
}
