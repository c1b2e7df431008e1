use std::collections::BTreeSet;

use crate::ServerId;

/// Which of a user's servers something extends to: a caller who is known by a key may be narrower than its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of them, also those to come.
    Every,
    /// These.
    Only(BTreeSet<ServerId>),
}

impl Reach {
    /// Whether it extends to this server.
    pub fn covers(&self, server: ServerId) -> bool {
        match self {
            Self::Every => true,
            Self::Only(servers) => servers.contains(&server),
        }
    }

    /// The servers it is narrowed to, for a query; none where it is not.
    pub fn narrowed_to(&self) -> Option<Vec<i32>> {
        match self {
            Self::Every => None,
            Self::Only(servers) => Some(servers.iter().map(|id| id.0).collect()),
        }
    }

    /// Both together.
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
