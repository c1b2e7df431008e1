//! Promises about that in which kinds of hosts differ.

use agis_servers::host::Ability;

use crate::stage::Stage;

/// A host says of every ability that it has it, or why it lacks it.
pub async fn every_ability_is_declared(stage: &dyn Stage) {
    let abilities = stage.process().await.abilities();
    for ability in Ability::ALL {
        let why = abilities.why_not(*ability);
        assert!(abilities.has(*ability) != why.is_some(), "{ability}: {abilities:?}");
        assert!(why.is_none_or(|why| !why.is_empty() && !why.ends_with('.')), "{ability}: {why:?}");
    }
}
