//! The objects, and how they came to be as they are.

use std::collections::{BTreeMap, VecDeque};

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::status::{Result, Status};
use crate::{NAMESPACE, meta};

/// How many changes are remembered; a stand-in that runs for days forgets the oldest.
const REMEMBERED: usize = 20_000;

#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// The namespace that this is.
    pub(crate) namespace: &'static str,
    version: u64,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    objects: BTreeMap<(Kind, String), Value>,
    history: VecDeque<Change>,
    /// How often history was forgotten on purpose.
    pub(crate) compactions: u64,
}

/// Change of an object. At least one of the two sides is there.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Default for Store {
    fn default() -> Self {
        Self::of_namespace(NAMESPACE)
    }
}

impl Store {
    pub(crate) fn of_namespace(namespace: &'static str) -> Self {
        // No cluster is at its beginning, and 0 has a meaning of its own.
        let (version, forgotten) = (1000, 1000);
        Self { namespace, version, forgotten, objects: BTreeMap::new(), history: VecDeque::new(), compactions: 0 }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned()))
    }

    pub(crate) fn find(&self, kind: Kind, name: &str) -> Result<&Value> {
        self.get(kind, name).ok_or_else(|| Status::not_found(kind, name))
    }

    pub(crate) fn list(&self, kind: Kind) -> impl Iterator<Item = &Value> {
        self.of(kind).map(|(_, object)| object)
    }

    pub(crate) fn names(&self, kind: Kind) -> Vec<String> {
        self.of(kind).map(|(name, _)| name.clone()).collect()
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = (&String, &Value)> {
        let from = self.objects.range((kind, String::new())..);
        from.take_while(move |((of, _), _)| *of == kind).map(|((_, name), object)| (name, object))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Kind, &str, &Value)> {
        self.objects.iter().map(|((kind, name), object)| (*kind, name.as_str(), object))
    }

    /// Stores a new object, which is checked and complete but for its version.
    pub(crate) fn create(&mut self, kind: Kind, object: Value) -> Result<Value> {
        let name = meta::name(&object).to_owned();
        if self.get(kind, &name).is_some() {
            return Err(Status::already_exists(kind, &name));
        }
        Ok(self.write(kind, name, object))
    }

    /// Stores what an object has become, or takes it away where only a finalizer had held it.
    pub(crate) fn update(&mut self, kind: Kind, mut object: Value) -> Result<Value> {
        let name = meta::name(&object).to_owned();
        let stored = self.find(kind, &name)?;
        object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
        if object == *stored {
            return Ok(object);
        }
        let is_over = meta::is_deleting(&object) && !meta::has_finalizers(&object) && kind != Kind::Pod;
        if is_over { Ok(self.remove(kind, &name, object)) } else { Ok(self.write(kind, name, object)) }
    }

    /// Changes an object in place, as a controller does that has read it just now.
    pub(crate) fn modify(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) -> Result<Value> {
        let mut object = self.find(kind, name)?.clone();
        change(&mut object);
        meta::bump_generation(kind, self.find(kind, name)?, &mut object);
        self.update(kind, object)
    }

    /// Begins to delete an object; `None` where it is gone at once, else what it is now. Pods end when their node says
    /// so: see `pods`.
    pub(crate) fn delete(&mut self, kind: Kind, name: &str) -> Result<Option<Value>> {
        let object = self.find(kind, name)?.clone();
        if meta::is_deleting(&object) {
            return Ok(Some(object));
        }
        let waits = meta::has_finalizers(&object) || (kind == Kind::Pod && object["spec"]["nodeName"].is_string());
        if !waits {
            self.remove(kind, name, object);
            return Ok(None);
        }
        let grace =
            if kind == Kind::Pod { object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30) } else { 0 };
        self.modify(kind, name, |object| {
            let metadata = &mut object["metadata"];
            metadata["deletionTimestamp"] = timestamp(grace).into();
            metadata["deletionGracePeriodSeconds"] = grace.into();
            if let Some(generation) = metadata["generation"].as_u64() {
                metadata["generation"] = (generation + 1).into();
            }
        })
        .map(Some)
    }

    /// Takes an object away, whatever holds it. Its last state is given back, with the version of its end.
    pub(crate) fn remove(&mut self, kind: Kind, name: &str, mut last: Value) -> Value {
        self.version += 1;
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.remove(&(kind, name.to_owned()));
        self.remember(kind, name, Some(last.clone()), None);
        last
    }

    fn write(&mut self, kind: Kind, name: String, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let before = self.objects.insert((kind, name.clone()), object.clone());
        self.remember(kind, &name, before, Some(object.clone()));
        object
    }

    fn remember(&mut self, kind: Kind, name: &str, before: Option<Value>, after: Option<Value>) {
        if self.history.len() >= REMEMBERED {
            self.forgotten = self.history.pop_front().map_or(self.forgotten, |change| change.version);
        }
        self.history.push_back(Change { version: self.version, kind, name: name.to_owned(), before, after });
    }

    /// All older versions are gone.
    pub(crate) fn compact(&mut self) {
        // Something else in the cluster has changed as well meanwhile.
        self.version += 1;
        self.forgotten = self.version;
        self.history.clear();
        self.compactions += 1;
    }

    /// Returns the changes after a version; `None` if they are forgotten.
    pub(crate) fn since(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        let start = self.history.partition_point(|change| change.version <= version);
        (version >= self.forgotten).then(|| self.history.range(start..))
    }

    /// All objects of a kind as they were at a version, by name; `None` where that is forgotten.
    pub(crate) fn at(&self, kind: Kind, version: u64) -> Option<BTreeMap<String, Value>> {
        let mut then: BTreeMap<_, _> = self.of(kind).map(|(name, object)| (name.clone(), object.clone())).collect();
        let changes: Vec<_> = self.since(version)?.filter(|change| change.kind == kind).collect();
        for change in changes.into_iter().rev() {
            match &change.before {
                // The end of an object is remembered with the version of that end: close enough for what it was.
                Some(before) => then.insert(change.name.clone(), before.clone()),
                None => then.remove(&change.name),
            };
        }
        Some(then)
    }
}

/// Now, or so many seconds later, as metadata has it.
pub(crate) fn timestamp(later: i64) -> String {
    (Utc::now() + chrono::Duration::seconds(later)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns a list of these objects.
pub(crate) fn list_of(kind: Kind, version: u64, items: Vec<Value>) -> Value {
    json!({
        "kind": format!("{}List", kind.name()),
        "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": version.to_string()},
        "items": items,
    })
}
