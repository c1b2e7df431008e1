//! The fence of a server: the highest generation that was seen, what that asked for, and the one GameServer that is it.
//!
//! It is a ConfigMap, changed only by whoever has read what it holds (its resourceVersion), so of any two that change it
//! at once one has to look again. A GameServer that does not stand in it is nobody's. Fences have a namespace of their own:
//! whoever may write among the games could start a server twice.

use agis_base::{ServerId, Timestamp};
use agis_servers::host::{Generation, HostError, Target};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{ResourceExt, api::PostParams};

use crate::{
    cluster::{CONFLICT, Cluster, GONE, Trouble},
    gameserver::GameServer,
    names::{self, words},
};

/// How often to look again before somebody else has to.
const TRIES: u32 = 10;

const GENERATION: &str = "generation";
const WANTED: &str = "wanted";
const NAME: &str = "gameserver";
const UID: &str = "uid";

/// What a generation asks for.
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

/// A GameServer, and no other that comes to have its name.
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

/// What the fence of a server holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) generation: Generation,
    pub(crate) wanted: Wanted,
    /// What this generation runs as, once that is there.
    pub(crate) chosen: Option<Chosen>,
}

impl Fence {
    /// What a ConfigMap of ours holds.
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

    /// Whether this GameServer, with our labels, is nobody's. The fence was raised before any of its generation was made, so
    /// there is none above it.
    pub(crate) fn is_orphan(&self, generation: Generation, gameserver: &GameServer) -> bool {
        let is_another = self.chosen.as_ref().is_some_and(|chosen| !chosen.is(gameserver));
        generation != self.generation || self.wanted != Wanted::Running || is_another
    }
}

/// A fence as it was read or written last. Whoever changes it changes that.
pub(crate) struct Held {
    pub(crate) fence: Fence,
    map: ConfigMap,
}

/// The ConfigMap of a server's fence, where one is there, or `None` where nobody has looked yet.
type Known = Option<Option<ConfigMap>>;

impl Cluster {
    /// The fence of a server, where it has one.
    pub(crate) async fn fence(&self, server: ServerId) -> Result<Option<Fence>, HostError> {
        let map = self.found(server).await?;
        map.as_ref().map(Fence::read).transpose()
    }

    /// Raises the fence to what an order asks for. Where there is none, because it is the first or because somebody has
    /// deleted it, what stands of the server says what was seen.
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

    /// Makes this the GameServer of its generation, unless another is. Answers with the fence as it is then.
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

    /// Writes a fence that was lost, unless one is there again.
    pub(crate) async fn restore(&self, server: ServerId, fence: &Fence) -> Result<(), HostError> {
        let map = self.mapped(server, fence, ConfigMap::default());
        match self.write(&map).await? {
            Some(_) => Ok(()),
            None => Err(HostError::Unavailable("another process was quicker".into())),
        }
    }

    /// The ConfigMap of a server's fence, where it has one.
    async fn found(&self, server: ServerId) -> Result<Option<ConfigMap>, HostError> {
        self.moved().await?;
        Ok(self.ask_fences(self.fences.get_opt(&names::fence(server))).await?)
    }

    /// Writes a fence, new or as it was read; `None` where somebody has changed it meanwhile.
    pub(crate) async fn write(&self, map: &ConfigMap) -> Result<Option<ConfigMap>, HostError> {
        let (params, is_new) = (PostParams::default(), map.metadata.resource_version.is_none());
        let written = match is_new {
            true => self.ask_fences(self.fences.create(&params, map)).await,
            false => self.ask_fences(self.fences.replace(&map.name_any(), &params, map)).await,
        };
        match written {
            Ok(map) => Ok(Some(map)),
            Err(Trouble::Refused { code: CONFLICT, .. }) => Ok(None),
            // Of a new one, it is the namespace that is not there.
            Err(Trouble::Refused { code: GONE, .. }) if !is_new => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// A fence put into its ConfigMap.
    fn mapped(&self, server: ServerId, fence: &Fence, mut map: ConfigMap) -> ConfigMap {
        map.metadata.name = Some(names::fence(server));
        map.labels_mut().extend(names::of_server(&self.name, server));
        map.annotations_mut().remove(names::FORGOTTEN);
        map.annotations_mut().remove(names::DELETE_AFTER);
        fence.write(&mut map);
        map
    }

    /// Changes a fence as this says, who looks again where somebody else has changed it meanwhile; `None` leaves it. What
    /// is kept of the server goes at `delete_after`, or stays.
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
