//! The kinds of objects that there are.

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// core/v1
    ConfigMap,
    /// core/v1
    PersistentVolumeClaim,
    /// core/v1
    Pod,
    /// core/v1
    Secret,
    /// agones.dev/v1
    GameServer,
    /// agones.dev/v1
    Fleet,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::ConfigMap, Self::PersistentVolumeClaim, Self::Pod, Self::Secret, Self::GameServer, Self::Fleet];

    /// As in `kind:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Pod => "Pod",
            Self::Secret => "Secret",
            Self::GameServer => "GameServer",
            Self::Fleet => "Fleet",
        }
    }

    /// As in a path.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
            Self::Pod => "pods",
            Self::Secret => "secrets",
            Self::GameServer => "gameservers",
            Self::Fleet => "fleets",
        }
    }

    /// The group; that of Kubernetes' own is empty.
    pub(crate) fn group(self) -> &'static str {
        if self.is_custom() { "agones.dev" } else { "" }
    }

    /// As in `apiVersion:`.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        if self.is_custom() { "agones.dev/v1" } else { "v1" }
    }

    /// Whether a CRD describes it.
    pub(crate) fn is_custom(self) -> bool {
        matches!(self, Self::GameServer | Self::Fleet)
    }

    /// The plural with the group, as messages have it.
    pub(crate) fn resource(self) -> String {
        if self.is_custom() { format!("{}.{}", self.plural(), self.group()) } else { self.plural().to_owned() }
    }

    pub(crate) fn of(group_version: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.api_version() == group_version && kind.plural() == plural)
    }

    pub(crate) fn of_object(object: &serde_json::Value) -> Option<Self> {
        let is = |kind: &Self| object["apiVersion"] == kind.api_version() && object["kind"] == kind.name();
        Self::ALL.into_iter().find(is)
    }
}
