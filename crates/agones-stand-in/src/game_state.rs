//! States of a GameServer, as Agones names them.

use std::fmt;

use serde_json::Value;

/// State of a GameServer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are Agones' own words")]
pub enum State {
    PortAllocation,
    Creating,
    Starting,
    Scheduled,
    RequestReady,
    Ready,
    Shutdown,
    Error,
    Unhealthy,
    Reserved,
    Allocated,
}

impl State {
    const ALL: [Self; 11] = [
        Self::PortAllocation,
        Self::Creating,
        Self::Starting,
        Self::Scheduled,
        Self::RequestReady,
        Self::Ready,
        Self::Shutdown,
        Self::Error,
        Self::Unhealthy,
        Self::Reserved,
        Self::Allocated,
    ];

    /// Returns the state in an object's status.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let name = object["status"]["state"].as_str()?;
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PortAllocation => "PortAllocation",
            Self::Creating => "Creating",
            Self::Starting => "Starting",
            Self::Scheduled => "Scheduled",
            Self::RequestReady => "RequestReady",
            Self::Ready => "Ready",
            Self::Shutdown => "Shutdown",
            Self::Error => "Error",
            Self::Unhealthy => "Unhealthy",
            Self::Reserved => "Reserved",
            Self::Allocated => "Allocated",
        }
    }

    /// Returns whether the state comes before `Ready`.
    pub(crate) fn is_starting(self) -> bool {
        use State::{Creating, PortAllocation, RequestReady, Scheduled, Starting};
        matches!(self, PortAllocation | Creating | Starting | Scheduled | RequestReady)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
