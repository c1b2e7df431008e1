//! Decides who may do what on a server: its owner everything, others what was shared with them; everybody sees a public
//! server. Pure. No other code decides this, for requests, for schedules that fire, and for reads.

use std::time::Duration;

use agis_base::{GuildId, RoleId, ServerId, Timestamp, UserId, words};

mod commands;

pub use commands::{AllowedCommands, COMMANDS_MAX, CommandList};

use crate::{
    operation::{Action, Origin, Refusal, Request},
    server::Server,
};

/// Time that a role counts after the bot last saw it on its member. Only Discord knows who has a role. While nobody
/// reports it, shares with roles lapse rather than live on.
pub const ROLE_COUNTS_FOR: Duration = Duration::from_secs(24 * 3600);

/// Maximum number of members and roles that a server is shared with.
pub const SHARES_MAX: u32 = 50;

/// Maximum number of servers that are shared with one member or role. They are not asked, so nobody may pile more on
/// them.
pub const SHARED_WITH_MAX: u32 = 50;

words! {
    /// Permission that an owner may give to others. Each one includes reading.
    Permission {
        /// See the server, its console and its operations.
        Read = "read",
        /// Start the server.
        Start = "start",
        /// Stop the server.
        Stop = "stop",
        /// Restart the server.
        Restart = "restart",
        /// Send commands to its game: every one, or those that the share lists.
        Console = "console",
        /// Make schedules for the server, which act in the name of their maker.
        Schedule = "schedule",
    }
}

/// Set of permissions. It has [`Permission::Read`] unless it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// Returns whether it has this permission.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Returns whether it has no permission.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns its permissions, in order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }

    /// Returns the permissions of both.
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

/// Relation of a user to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Owner, who may do everything.
    Owner,
    /// User with whom the server was shared, with these permissions.
    Shared(Permissions),
    /// User who may know of the server, as everybody may.
    Public,
    /// User who may not know of the server.
    None,
}

/// Demand of an action on its actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// The actor owns the server.
    Ownership,
    /// The actor has this permission, or owns the server.
    Permission(Permission),
}

impl From<Permission> for Needed {
    fn from(permission: Permission) -> Self {
        Self::Permission(permission)
    }
}

impl Access {
    /// One of each kind that sees the server.
    pub const SEEN: &'static [Self] = &[Self::Owner, Self::Shared(Permissions(1)), Self::Public];

    /// Returns the relation of this user to this server, with these shared permissions.
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

    /// Returns the word that REST uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Shared(_) => "shared",
            Self::Public => "public",
            Self::None => "none",
        }
    }

    /// Returns the user's permissions among those that can be shared.
    pub fn permissions(self) -> Permissions {
        match self {
            Self::Owner => Permission::ALL.iter().copied().collect(),
            Self::Shared(permissions) => permissions,
            Self::Public | Self::None => Permissions::default(),
        }
    }

    /// Checks a demand.
    ///
    /// # Errors
    /// Fails with [`Refusal::NotFound`] if the user may not know of the server, else with [`Refusal::NotAllowed`].
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

/// Returns the demand of an operation on its actor. A schedule's action needs the permission to schedule, at the time
/// of the firing.
pub fn needed_for(request: &Request) -> Needed {
    match request.action {
        Action::Delete => Needed::Ownership,
        _ if request.origin == Origin::Schedule => Permission::Schedule.into(),
        Action::Start => Permission::Start.into(),
        Action::Stop => Permission::Stop.into(),
        Action::Restart => Permission::Restart.into(),
    }
}

words! {
    /// Kind of those that a server is shared with.
    GranteeKind {
        /// Single person.
        Member = "member",
        /// All members with a role.
        Role = "role",
    }
}

impl Grantee {
    /// Returns the kind.
    pub fn kind(&self) -> GranteeKind {
        match self {
            Self::Member(_) => GranteeKind::Member,
            Self::Role { .. } => GranteeKind::Role,
        }
    }
}

/// Member or role that a server is shared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Grantee {
    /// Single person.
    Member(UserId),
    /// All members with this role, for [`ROLE_COUNTS_FOR`] after the bot last saw it on them.
    Role {
        /// Guild of the role.
        guild: GuildId,
        /// The role.
        role: RoleId,
    },
}

/// Permissions for a member or a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The permissions.
    pub permissions: Permissions,
    /// Commands that [`Permission::Console`] is limited to; `None` for no limit.
    pub commands: Option<CommandList>,
}

impl From<Permissions> for Granted {
    fn from(permissions: Permissions) -> Self {
        Self { permissions, commands: None }
    }
}

/// Permissions that an owner gave on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The server.
    pub server: ServerId,
    /// Member or role that has them.
    pub grantee: Grantee,
    /// The permissions.
    pub permissions: Permissions,
    /// Commands that [`Permission::Console`] is limited to; `None` for no limit.
    pub commands: Option<CommandList>,
    /// Owner who shared it.
    pub granted_by: UserId,
    /// Time of the first share with them.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests;
