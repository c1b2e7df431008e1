//! A server as people know it.

use agis_base::{ServerId, Timestamp, UserId, words};

use crate::{
    game::SettingValues,
    hold::Hold,
    host::{Endpoint, Generation},
    idle::{Idle, IdleRule},
    label::Label,
    restart::{Restart, RestartChoice},
};

/// A game server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Id of the server.
    pub id: ServerId,
    /// Owner of the server.
    pub owner: UserId,
    /// Name that its owner chose.
    pub name: String,
    /// Key of its game in the catalogue.
    pub game_type: String,
    /// Description by its owner.
    pub description: Option<String>,
    /// Whether everybody may see it.
    pub is_public: bool,
    /// Its labels, in order.
    pub labels: Vec<Label>,
    /// Current status.
    pub status: Status,
    /// Desired state.
    pub desired: Desired,
    /// Number of changes of `desired`.
    pub generation: Generation,
    /// Host that runs it; `None` for servers of the Go version.
    pub host: Option<String>,
    /// Address that players connect to; `None` until it has run.
    pub endpoint: Option<Endpoint>,
    /// Reason why it is `failed` or `crashed`, for people.
    pub error: Option<String>,
    /// Parts of its restart policy that its owner chose.
    pub restart_choice: RestartChoice,
    /// Its next restart, or that there is none any more; `None` unless it ended by itself and its policy wants it to run.
    pub restart: Option<Restart>,
    /// Its hold, which may be over: see [`Self::held`].
    pub hold: Option<Hold>,
    /// Its rule for stops when nobody plays; `None` if it has none.
    pub idle: Option<Idle>,
    /// Price in credits per hour.
    pub cost_per_hour: i32,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change of any field.
    pub updated_at: Timestamp,
}

words! {
    /// Status of a server.
    Status {
        /// Nothing runs.
        Stopped = "stopped",
        /// The start has begun; the server is not ready for players.
        Starting = "starting",
        /// Ready for players.
        Running = "running",
        /// The server was asked to end.
        Stopping = "stopping",
        /// The server ended by itself, or was gone when its host came back.
        Crashed = "crashed",
        /// An operation could not be carried out.
        Failed = "failed",
        /// The server is being deleted.
        Deleting = "deleting",
    }
}

words! {
    /// Desired state of a server, by the last accepted operation.
    Desired {
        /// Nothing runs.
        Stopped = "stopped",
        /// Ready for players.
        Running = "running",
        /// The server is deleted.
        Deleted = "deleted",
    }
}

/// A server that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// Name by the rule of [`agis_base::name`]; no other server of the owner looks the same.
    pub name: String,
    /// Key of its game in the catalogue.
    pub game_type: String,
    /// Description of at most 1,000 characters.
    pub description: Option<String>,
    /// Whether everybody may see it.
    pub is_public: bool,
    /// Its labels.
    pub labels: Vec<Label>,
    /// Values of its settings that differ from the defaults.
    pub settings: SettingValues,
}

/// Change of a server by its owner; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerChange {
    /// New name.
    pub name: Option<String>,
    /// New description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// Whether everybody may see it.
    pub is_public: Option<bool>,
    /// Labels, in place of those that it has.
    pub labels: Option<Vec<Label>>,
    /// Choices about its restart policy, beside those that its owner made before; `Some(None)` takes all of them back.
    pub restart_choice: Option<Option<RestartChoice>>,
    /// Rule for stops when nobody plays; `Some(None)` removes it.
    pub idle: Option<Option<IdleRule>>,
}
