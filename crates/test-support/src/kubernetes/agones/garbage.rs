//! Kubernetes' garbage collector.

use std::collections::HashSet;

use serde_json::Value;

use crate::kubernetes::kind::Kind;
use crate::kubernetes::meta;
use crate::kubernetes::state::World;

/// What has lost all its owners goes, and so does what only waits for that.
pub(super) fn collect(world: &mut World) {
    const FOREGROUND: &str = "foregroundDeletion";
    let sets = world.store.list(Kind::Fleet).filter_map(|fleet| world.sets.get(meta::uid(fleet)));
    let sets = sets.map(|(_, uid)| uid.clone());
    let alive: HashSet<String> =
        world.store.all().map(|(.., object)| meta::uid(object).to_owned()).chain(sets).collect();
    let owners = |object: &Value| -> Vec<String> {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.filter_map(|owner| owner["uid"].as_str().map(ToOwned::to_owned)).collect()
    };
    let is_lost = |object: &Value| {
        let owners = owners(object);
        !meta::is_deleting(object) && !owners.is_empty() && !owners.iter().any(|owner| alive.contains(owner))
    };
    let owned: HashSet<String> = world.store.all().flat_map(|(.., object)| owners(object)).collect();
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
