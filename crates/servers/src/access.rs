//! Who may do what on a server: its owner everything, others what was shared with them, everybody sees a public one.
//! Pure. It is decided here and nowhere else, for requests, for schedules that fire, and for what is read.

use std::time::Duration;

use agis_base::{GuildId, RoleId, ServerId, Timestamp, UserId};

use crate::{
    operation::{Action, Origin, Refusal, Request},
    server::{Server, words},
};

/// How long a role counts after it was last seen on its member. Only Discord knows who has a role; while nobody tells
/// us, what was shared with roles lapses rather than lives on.
pub const ROLE_COUNTS_FOR: Duration = Duration::from_secs(24 * 3600);

/// With how many members and roles a server may be shared.
pub const SHARES_MAX: u32 = 50;

/// How many servers may be shared with one member or role. They are not asked, so nobody may pile more on them.
pub const SHARED_WITH_MAX: u32 = 50;

words! {
    /// What an owner may let others do on a server. Each includes to read.
    Permission {
        /// See it, its console and its operations.
        Read = "read",
        /// Start it.
        Start = "start",
        /// Stop it.
        Stop = "stop",
        /// Restart it.
        Restart = "restart",
        /// Make schedules for it, which act in the name of who made them.
        Schedule = "schedule",
    }
}

/// A set of permissions. It has [`Permission::Read`] where it has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// Whether it has this one.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that it has, in order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }

    /// Both together.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | bit(permission) | bit(Permission::Read)))
    }
}

fn bit(permission: Permission) -> u8 {
    1 << permission as u8
}

/// What somebody is to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner, who may do everything.
    Owner,
    /// One with whom it was shared, and to what end.
    Shared(Permissions),
    /// One who may know of it, as everybody may.
    Public,
    /// One who may not know of it.
    None,
}

/// What something asks of those who do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// To own the server.
    Ownership,
    /// This permission, or to own the server.
    Permission(Permission),
}

impl From<Permission> for Needed {
    fn from(permission: Permission) -> Self {
        Self::Permission(permission)
    }
}

impl Access {
    /// Of each kind one that sees the server.
    pub const SEEN: &'static [Self] = &[Self::Owner, Self::Shared(Permissions(1)), Self::Public];

    /// What this user is to this server, where so much was shared with them.
    pub fn of(server: &Server, user: &UserId, shared: Permissions) -> Self {
        if server.owner == *user {
            Self::Owner
        } else if !shared.is_empty() {
            Self::Shared(shared)
        } else if server.is_public {
            Self::Public
        } else {
            Self::None
        }
    }

    /// The word that REST uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Shared(_) => "shared",
            Self::Public => "public",
            Self::None => "none",
        }
    }

    /// What they may do, of what can be shared.
    pub fn permissions(self) -> Permissions {
        match self {
            Self::Owner => Permission::ALL.iter().copied().collect(),
            Self::Shared(permissions) => permissions,
            Self::Public | Self::None => Permissions::default(),
        }
    }

    /// Whether it will do for this.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where they may not know of the server, [`Refusal::NotAllowed`] where they may.
    pub fn check(self, needed: Needed) -> Result<(), Refusal> {
        let allowed = match needed {
            Needed::Ownership => self == Self::Owner,
            Needed::Permission(permission) => self.permissions().contains(permission),
        };
        match self {
            _ if allowed => Ok(()),
            Self::None => Err(Refusal::NotFound),
            _ => Err(Refusal::NotAllowed),
        }
    }
}

/// What a request for an operation asks of its actor. What a schedule does needs the permission to schedule, at the time
/// when it fires.
pub fn needed_for(request: &Request) -> Needed {
    match request.action {
        Action::Delete => Needed::Ownership,
        _ if request.origin == Origin::Schedule => Permission::Schedule.into(),
        Action::Start => Permission::Start.into(),
        Action::Stop => Permission::Stop.into(),
        Action::Restart => Permission::Restart.into(),
    }
}

/// With whom a server is shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Grantee {
    /// One person.
    Member(UserId),
    /// All who have this role, for [`ROLE_COUNTS_FOR`] after it was last seen on them.
    Role {
        /// The role's guild.
        guild: GuildId,
        /// The role.
        role: RoleId,
    },
}

/// What an owner lets others do on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The server.
    pub server: ServerId,
    /// Whom.
    pub grantee: Grantee,
    /// What.
    pub permissions: Permissions,
    /// The owner who said so.
    pub granted_by: UserId,
    /// When it was first shared with them.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests;
