//! `agis-api settings`

use std::{collections::BTreeMap, sync::Arc};

use agis_base::ServerId;
use agis_program::settings;
use agis_servers::{Policy, Servers, game::Catalogue, settings::ServerSettings, store::Billing};
use agis_storage::{Db, DbConfig};

use crate::{
    cli::{Failure, SettingsCommand, answer},
    config,
};

/// Changes settings of a server, those of the operator too.
pub(crate) async fn settings(command: SettingsCommand) -> Result<(), Failure> {
    let catalogue = match settings::environment("GAMES_FILE") {
        None => Catalogue::built_in().map_err(Failure::from_display)?,
        Some(file) => Catalogue::load(file.as_ref()).map_err(Failure::from_display)?.map_err(Failure::from_display)?,
    };
    let url = config::database_url(&settings::environment).map_err(Failure::from_display)?;
    let db = Arc::new(Db::new(&DbConfig { url, connections: 2 }).map_err(Failure::from_display)?);
    if !db.is_migrated().await.map_err(Failure::from_display)? {
        return Err(Failure::new("the database lacks this version's schema; run 'agis-api migrate up' first"));
    }
    // Nothing is created here.
    let policy = Policy { homes: vec![], servers_per_user: 0, billing: Billing::Off };
    let servers = Servers::new(&db, Arc::new(catalogue), policy, vec![]);
    let id = ServerId(command.server);
    // Without a change the settings are only shown.
    let known = servers.change_settings_as_operator(id, BTreeMap::new()).await.map_err(Failure::from_display)?;
    let mut change = BTreeMap::new();
    for assignment in &command.assignments {
        let (name, text) =
            assignment.split_once('=').ok_or_else(|| Failure::new(format!("'{assignment}' is not NAME=VALUE")))?;
        let form = known.settings.iter().find(|known| known.setting.name == name).map(|known| &known.setting.form);
        let form = form.ok_or_else(|| Failure::new(format!("the game of this server has no setting '{name}'")))?;
        change.insert(name.to_owned(), Some(form.of_typed(text)));
    }
    change.extend(command.reset.into_iter().map(|name| (name, None)));
    let changed = servers.change_settings_as_operator(id, change).await.map_err(Failure::from_display)?;
    print(&changed)
}

fn print(settings: &ServerSettings) -> Result<(), Failure> {
    for setting in &settings.settings {
        let value = setting.shown().map_or_else(String::new, |value| value.expose_text());
        let by = setting.setting.by;
        answer(&format!("{}={value}\t{by}\t{}", setting.setting.name, setting.takes_effect))?;
    }
    Ok(())
}
