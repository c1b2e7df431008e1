//! A server as people know it.

use agis_base::{ServerId, Timestamp, UserId};

use crate::host::{Endpoint, Generation};

/// A game server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub id: ServerId,
    /// Whose it is.
    pub owner: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The catalogue's key of its game.
    pub game_type: String,
    /// What its owner says of it.
    pub description: Option<String>,
    /// Whether everybody may see it.
    pub is_public: bool,
    /// What it does.
    pub status: Status,
    /// What it should do.
    pub desired: Desired,
    /// How often `desired` has changed.
    pub generation: Generation,
    /// The host that runs it; none for servers that no host of ours has taken over.
    pub host: Option<String>,
    /// Where players connect; none until it has run.
    pub endpoint: Option<Endpoint>,
    /// Why it is `failed` or `crashed`, for people.
    pub error: Option<String>,
    /// Credits per hour.
    pub cost_per_hour: i32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything of this last changed.
    pub updated_at: Timestamp,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word that the database, REST and metrics use.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The value of that word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a server does.
    Status {
        /// Nothing runs.
        Stopped = "stopped",
        /// Begun, not ready for players.
        Starting = "starting",
        /// Ready for players.
        Running = "running",
        /// Asked to end.
        Stopping = "stopping",
        /// It ended by itself, or was gone when its host came back.
        Crashed = "crashed",
        /// An operation could not be carried out.
        Failed = "failed",
        /// On its way out.
        Deleting = "deleting",
    }
}

words! {
    /// What a server should do: what the last accepted operation wants.
    Desired {
        /// Nothing runs.
        Stopped = "stopped",
        /// Ready for players.
        Running = "running",
        /// Gone.
        Deleted = "deleted",
    }
}

/// A server that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// What its owner calls it, by the rule of [`agis_base::name`]; no other server of the owner looks the same.
    pub name: String,
    /// The catalogue's key of its game.
    pub game_type: String,
    /// What its owner says of it: at most 1,000 characters.
    pub description: Option<String>,
    /// Whether everybody may see it.
    pub is_public: bool,
}

/// What an owner may change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerChange {
    /// A new name.
    pub name: Option<String>,
    /// A new description, or none.
    pub description: Option<Option<String>>,
    /// Whether everybody may see it.
    pub is_public: Option<bool>,
}
