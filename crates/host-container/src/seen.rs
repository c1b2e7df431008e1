//! A container as the engine shows it.

use agis_base::{ServerId, Timestamp};
use agis_servers::host::Generation;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, HealthStatusEnum};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::names;

/// Container of a server.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Id, which passes to no other container.
    pub(crate) id: String,
    pub(crate) server: ServerId,
    /// Generation of the order that created it.
    pub(crate) generation: Generation,
    pub(crate) state: State,
}

/// State of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// The container has not been started.
    Created,
    /// Its program runs, or is frozen.
    Running(Live),
    /// Its program has ended.
    Ended(Exit),
}

/// Running program of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// Process id on this machine; 0 if the engine does not say.
    pub(crate) pid: i32,
    pub(crate) since: Timestamp,
    /// Whether the image's health check succeeds.
    pub(crate) is_healthy: bool,
    /// Whether somebody has frozen it.
    pub(crate) is_paused: bool,
}

/// End of a container's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Status; 128 and the number of a signal if one ended the program.
    pub(crate) code: i64,
    pub(crate) is_out_of_memory: bool,
    /// Complaint of the engine about the start; empty if it has none.
    pub(crate) complaint: String,
}

impl Seen {
    /// Reads the engine's answer; `None` if the container is not one of this data directory.
    pub(crate) fn of(directory: Uuid, found: ContainerInspectResponse) -> Option<Self> {
        let labels = found.config?.labels.unwrap_or_default();
        Some(Self {
            id: found.id?,
            server: names::server(directory, &labels)?,
            generation: names::generation(&labels)?,
            state: State::of(found.state.unwrap_or_default()),
        })
    }
}

impl State {
    fn of(state: ContainerState) -> Self {
        match state.status {
            Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => Self::Running(Live {
                pid: state.pid.and_then(|pid| pid.try_into().ok()).unwrap_or_default(),
                since: moment(state.started_at.as_deref()),
                is_healthy: state.health.is_some_and(|it| it.status == Some(HealthStatusEnum::HEALTHY)),
                is_paused: state.status == Some(Status::PAUSED),
            }),
            Some(Status::EXITED | Status::DEAD | Status::REMOVING) => Self::Ended(Exit {
                code: state.exit_code.unwrap_or_default(),
                is_out_of_memory: state.oom_killed.unwrap_or_default(),
                complaint: state.error.unwrap_or_default(),
            }),
            Some(Status::CREATED | Status::EMPTY) | None => Self::Created,
        }
    }
}

/// Reads a time of the engine. An unreadable one is now, so no deadline passes early.
fn moment(text: Option<&str>) -> Timestamp {
    text.and_then(|text| DateTime::parse_from_rfc3339(text).ok()).map_or_else(Utc::now, |it| it.to_utc())
}
