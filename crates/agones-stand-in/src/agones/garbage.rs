//! Kubernetes' garbage collector.

use std::collections::HashSet;

use serde_json::Value;

use crate::kind::Kind;
use crate::meta;
use crate::state::World;

/// Deletes objects that have lost all their owners, and objects that only wait for that.
pub(super) fn collect(world: &mut World) {
    const FOREGROUND: &str = "foregroundDeletion";
    let sets = world.store.list(Kind::Fleet).filter_map(|fleet| world.sets.get(meta::uid(fleet)));
    let sets = sets.map(|(_, uid)| uid.as_str());
    let alive: HashSet<&str> = world.store.all().map(|(.., object)| meta::uid(object)).chain(sets).collect();
    fn owners(object: &Value) -> impl Iterator<Item = &str> {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.filter_map(|owner| owner["uid"].as_str())
    }
    let is_lost = |object: &Value| {
        let mut owners = owners(object).peekable();
        !meta::is_deleting(object) && owners.peek().is_some() && !owners.any(|owner| alive.contains(owner))
    };
    let owned: HashSet<&str> = world.store.all().flat_map(|(.., object)| owners(object)).collect();
    let waits = |object: &Value| {
        meta::finalizers(object).contains(&FOREGROUND)
            && meta::is_deleting(object)
            && !owned.contains(meta::uid(object))
    };
    let named = |wanted: &dyn Fn(&Value) -> bool| -> Vec<(Kind, String)> {
        let all = world.store.all().filter(|(.., object)| wanted(object));
        all.map(|(kind, name, _)| (kind, name.to_owned())).collect()
    };
    let (lost, waiting) = (named(&is_lost), named(&waits));
    for (kind, name) in lost {
        let _ = world.store.delete(kind, &name);
    }
    for (kind, name) in waiting {
        let _ = world.store.modify(kind, &name, |object| meta::remove_finalizer(object, FOREGROUND));
    }
}
