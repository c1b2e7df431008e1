//! Fence of a server: its highest generation, the wish of that generation, and the one GameServer that fulfils it.
//!
//! The fence is a ConfigMap. A change names the version that it read (resourceVersion), so one of two simultaneous
//! writers has to look again. A GameServer outside the fence belongs to no server. Fences have a namespace of their
//! own, since everybody with write access among the games could otherwise start a server twice.

use agis_base::{ServerId, Timestamp};
use agis_servers::host::{Generation, HostError, Target};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{ResourceExt, api::PostParams};

use crate::{
    cluster::{CONFLICT, Cluster, GONE, Trouble},
    gameserver::GameServer,
    names::{self, words},
};

/// Maximum number of tries, before the order has to be repeated.
const TRIES: u32 = 10;

const GENERATION: &str = "generation";
const WANTED: &str = "wanted";
const NAME: &str = "gameserver";
const UID: &str = "uid";

/// Wish of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Running,
    Stopped,
    Deleted,
}

impl Wanted {
    const ALL: [Self; 3] = [Self::Running, Self::Stopped, Self::Deleted];

    pub(crate) fn of(target: &Target) -> Self {
        match target {
            Target::Running(_) => Self::Running,
            Target::Stopped => Self::Stopped,
            Target::Deleted => Self::Deleted,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }
}

/// GameServer, and no later one of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Chosen {
    pub(crate) fn of(gameserver: &GameServer) -> Self {
        Self { name: gameserver.name_any(), uid: gameserver.uid().unwrap_or_default() }
    }

    pub(crate) fn is(&self, gameserver: &GameServer) -> bool {
        gameserver.uid().is_some_and(|uid| uid == self.uid)
    }
}

/// Content of a server's fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) generation: Generation,
    pub(crate) wanted: Wanted,
    /// GameServer of this generation; `None` before it is chosen.
    pub(crate) chosen: Option<Chosen>,
}

impl Fence {
    /// Reads the content of one of our ConfigMaps.
    pub(crate) fn read(map: &ConfigMap) -> Result<Self, HostError> {
        let get = |key: &str| map.data.as_ref().and_then(|data| data.get(key)).filter(|text| !text.is_empty());
        let wanted = |word: &String| Wanted::ALL.into_iter().find(|wanted| wanted.as_str() == word);
        let chosen = get(NAME).zip(get(UID)).map(|(name, uid)| Chosen { name: name.clone(), uid: uid.clone() });
        match (get(GENERATION).and_then(|text| text.parse().ok()), get(WANTED).and_then(wanted)) {
            (Some(generation), Some(wanted)) => Ok(Self { generation, wanted, chosen }),
            _ => {
                let name = map.name_any();
                Err(HostError::Unavailable(format!("the ConfigMap {name} was changed by somebody else; put it right")))
            }
        }
    }

    fn write(&self, map: &mut ConfigMap) {
        let Self { generation, wanted, chosen } = self;
        let mut data = words([(GENERATION, generation.to_string()), (WANTED, wanted.as_str().to_owned())]);
        if let Some(Chosen { name, uid }) = chosen {
            data.extend(words([(NAME, name.clone()), (UID, uid.clone())]));
        }
        map.data = Some(data);
    }

    /// Checks whether this GameServer, with our labels, belongs to no server. The fence is raised before any GameServer
    /// of its generation is made, so none is above it.
    pub(crate) fn is_orphan(&self, generation: Generation, gameserver: &GameServer) -> bool {
        let is_another = self.chosen.as_ref().is_some_and(|chosen| !chosen.is(gameserver));
        generation != self.generation || self.wanted != Wanted::Running || is_another
    }
}

/// Fence as it was last read or written. A change replaces this version only.
pub(crate) struct Held {
    pub(crate) fence: Fence,
    map: ConfigMap,
}

/// ConfigMap of a server's fence; `Some(None)` if there is none, `None` if nobody has looked yet.
type Known = Option<Option<ConfigMap>>;

impl Cluster {
    /// Returns the fence of a server, if it has one.
    pub(crate) async fn fence(&self, server: ServerId) -> Result<Option<Fence>, HostError> {
        let map = self.found(server).await?;
        map.as_ref().map(Fence::read).transpose()
    }

    /// Raises the fence to the generation of an order. A fence can be absent, since it is the first one, or since
    /// somebody deleted it. Then the server's GameServers tell the last generation.
    pub(crate) async fn raise(
        &self,
        server: ServerId,
        generation: Generation,
        wanted: Wanted,
        delete_after: Option<Timestamp>,
    ) -> Result<Held, HostError> {
        let found = self.found(server).await?;
        if found.is_none() {
            let standing = self.of(server).await?;
            if let Some(seen) = standing.iter().filter_map(names::generation).max().filter(|seen| *seen > generation) {
                return Err(HostError::Stale { seen });
            }
        }
        let kept = delete_after.map(|at| at.to_rfc3339());
        self.change(server, Some(found), kept.as_ref(), |seen| match seen {
            Some(seen) if seen.generation > generation => Err(HostError::Stale { seen: seen.generation }),
            Some(seen) if seen.generation == generation && seen.wanted == wanted => Ok(None),
            _ => Ok(Some(Fence { generation, wanted, chosen: None })),
        })
        .await
    }

    /// Makes this the GameServer of its generation, unless another one is. Returns the resulting fence.
    pub(crate) async fn choose(
        &self,
        server: ServerId,
        generation: Generation,
        held: Held,
        gameserver: &GameServer,
    ) -> Result<Fence, HostError> {
        let changed = self.change(server, Some(Some(held.map)), None, |seen| match seen {
            Some(seen) if seen.generation > generation => Err(HostError::Stale { seen: seen.generation }),
            Some(seen) if seen.chosen.is_some() => Ok(None),
            Some(seen) => Ok(Some(Fence { chosen: Some(Chosen::of(gameserver)), ..seen.clone() })),
            None => Err(HostError::Unavailable(format!("the ConfigMap {} was deleted", names::fence(server)))),
        });
        Ok(changed.await?.fence)
    }

    /// Writes a lost fence, unless it is there again.
    pub(crate) async fn restore(&self, server: ServerId, fence: &Fence) -> Result<(), HostError> {
        let map = self.mapped(server, fence, ConfigMap::default());
        match self.write(&map).await? {
            Some(_) => Ok(()),
            None => Err(HostError::Unavailable("another process was quicker".into())),
        }
    }

    /// Returns the ConfigMap of a server's fence, if it has one.
    async fn found(&self, server: ServerId) -> Result<Option<ConfigMap>, HostError> {
        self.moved().await?;
        Ok(self.ask_fences(self.fences.get_opt(&names::fence(server))).await?)
    }

    /// Writes a fence, new or as it was read; `None` if it has changed meanwhile.
    pub(crate) async fn write(&self, map: &ConfigMap) -> Result<Option<ConfigMap>, HostError> {
        let (params, is_new) = (PostParams::default(), map.metadata.resource_version.is_none());
        let written = match is_new {
            true => self.ask_fences(self.fences.create(&params, map)).await,
            false => self.ask_fences(self.fences.replace(&map.name_any(), &params, map)).await,
        };
        match written {
            Ok(map) => Ok(Some(map)),
            Err(Trouble::Refused { code: CONFLICT, .. }) => Ok(None),
            // For a new fence, the namespace is missing.
            Err(Trouble::Refused { code: GONE, .. }) if !is_new => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Returns the fence as a ConfigMap.
    fn mapped(&self, server: ServerId, fence: &Fence, mut map: ConfigMap) -> ConfigMap {
        map.metadata.name = Some(names::fence(server));
        map.labels_mut().extend(names::of_server(&self.name, server));
        map.annotations_mut().remove(names::FORGOTTEN);
        map.annotations_mut().remove(names::DELETE_AFTER);
        fence.write(&mut map);
        map
    }

    /// Applies `change` to a fence, and again if the fence has changed meanwhile; `None` leaves it. The remains of the
    /// server go at `delete_after`, or stay.
    async fn change(
        &self,
        server: ServerId,
        mut known: Known,
        delete_after: Option<&String>,
        decide: impl Fn(Option<&Fence>) -> Result<Option<Fence>, HostError>,
    ) -> Result<Held, HostError> {
        for _ in 0..TRIES {
            let found = match known.take() {
                Some(found) => found,
                None => self.found(server).await?,
            };
            if let Some(found) = &found {
                self.is_ours(found)?;
            }
            let seen = found.as_ref().map(Fence::read).transpose()?;
            let Some(next) = decide(seen.as_ref())? else {
                let held = seen.zip(found).map(|(fence, map)| Held { fence, map });
                return held.ok_or_else(|| HostError::Unavailable("there is no fence".into()));
            };
            let map = match found {
                Some(found) if found.annotations().contains_key(names::FORGOTTEN) => {
                    let Some(marked) = self.forget_world(found).await? else { continue };
                    marked
                }
                found => found.unwrap_or_default(),
            };
            let mut map = self.mapped(server, &next, map);
            map.annotations_mut().extend(delete_after.map(|at| (names::DELETE_AFTER.to_owned(), at.clone())));
            if let Some(map) = self.write(&map).await? {
                return Ok(Held { fence: next, map });
            }
        }
        Err(HostError::Unavailable("others keep changing this server; tried again in a moment".into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gameserver(uid: &str) -> GameServer {
        serde_json::from_value(json!({ "metadata": { "name": "gs", "uid": uid }, "spec": {} })).expect("a GameServer")
    }

    #[test]
    fn a_fence_holds_what_was_written_into_it() {
        let chosen = Some(Chosen { name: "gs".into(), uid: "u".into() });
        for wanted in Wanted::ALL {
            for chosen in [None, chosen.clone()] {
                let fence = Fence { generation: 7, wanted, chosen };
                let mut map = ConfigMap::default();
                fence.write(&mut map);
                assert_eq!(Fence::read(&map), Ok(fence));
            }
        }
        let mut map = ConfigMap::default();
        assert!(matches!(Fence::read(&map), Err(HostError::Unavailable(_))));
        map.data = Some(words([(GENERATION, "x".into()), (WANTED, "running".into())]));
        assert!(matches!(Fence::read(&map), Err(HostError::Unavailable(_))));
    }

    #[test]
    fn orphans_differ_from_unborn_servers() {
        let chosen = Some(Chosen { name: "gs".into(), uid: "mine".into() });
        for (wanted, chosen, generation, uid, is_orphan) in [
            (Wanted::Running, None, 4, "any", true),
            (Wanted::Running, None, 5, "any", false),
            (Wanted::Running, None, 6, "any", true),
            (Wanted::Running, chosen.clone(), 5, "mine", false),
            (Wanted::Running, chosen.clone(), 5, "other", true),
            (Wanted::Running, chosen, 6, "other", true),
            (Wanted::Stopped, None, 5, "any", true),
            (Wanted::Deleted, None, 5, "any", true),
        ] {
            let fence = Fence { generation: 5, wanted, chosen };
            assert_eq!(fence.is_orphan(generation, &gameserver(uid)), is_orphan, "{fence:?} {generation} {uid}");
        }
    }
}
