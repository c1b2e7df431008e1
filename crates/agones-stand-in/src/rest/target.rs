//! Targets of paths.

use crate::kind::Kind;
use crate::status::{Result, Status};

#[derive(Debug)]
pub(super) enum Target {
    /// A namespace is empty where the path names none.
    Objects {
        namespace: String,
        kind: Kind,
        name: Option<String>,
    },
    Log {
        namespace: String,
        pod: String,
    },
    Allocations {
        namespace: String,
    },
    Health,
}

impl Target {
    pub(super) fn of(path: &str) -> Result<Self> {
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        let (version, rest) = match &parts[..] {
            ["healthz" | "livez" | "readyz"] => return Ok(Self::Health),
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return Err(Status::no_such_path()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => ((*namespace).to_owned(), rest),
            rest => (String::new(), rest),
        };
        match (version.as_str(), rest) {
            ("v1", ["pods", pod, "log"]) => Ok(Self::Log { namespace, pod: (*pod).to_owned() }),
            ("allocation.agones.dev/v1", ["gameserverallocations"]) => Ok(Self::Allocations { namespace }),
            (version, [plural, name @ ..]) if name.len() <= 1 => {
                let kind = Kind::of(version, plural).ok_or_else(Status::no_such_path)?;
                Ok(Self::Objects { namespace, kind, name: name.first().map(|name| (*name).to_owned()) })
            }
            _ => Err(Status::no_such_path()),
        }
    }

    /// Returns the namespace, if roles apply to the target.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Objects { namespace, .. } | Self::Log { namespace, .. } | Self::Allocations { namespace } => {
                Some(namespace)
            }
            Self::Health => None,
        }
    }

    /// The resource with its group, as a role has it, and the name of the object.
    pub(super) fn resource(&self) -> (String, Option<&str>) {
        match self {
            Self::Objects { kind, name, .. } => (kind.resource(), name.as_deref()),
            Self::Log { pod, .. } => ("pods/log".to_owned(), Some(pod)),
            Self::Allocations { .. } => ("gameserverallocations.allocation.agones.dev".to_owned(), None),
            Self::Health => (String::new(), None),
        }
    }
}
