//! Settings of servers: who reads and changes them, and when a change takes effect.

use std::collections::BTreeMap;

use agis_base::{ServerId, UserId, words};

use crate::{
    access::{Needed, Permission},
    game::{Game, GameSetting, SettingBy, SettingProblem, SettingType, SettingValue, SettingValues},
    server::{Server, Status},
    service::{Servers, ServersError, invalid},
    store::{Launched, SETTINGS_BYTES, SettingsWriteError, StoredSettings},
};

words! {
    /// Time at which the value of a setting takes effect.
    TakesEffect {
        /// The running server has it.
        Now = "now",
        /// The next start uses it: the server does not run, or it runs with another value.
        NextStart = "next_start",
    }
}

/// New values by the names of the settings; `None` goes back to the default.
pub type SettingsChange = BTreeMap<String, Option<SettingValue>>;

/// Setting of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSetting {
    /// Setting of its game.
    pub setting: GameSetting,
    /// Value for the next start; `None` if nobody has chosen one, and there is no default.
    pub value: Option<SettingValue>,
    /// Whether somebody chose the value.
    pub is_chosen: bool,
    /// Whether the value fits. A start fails otherwise: the catalogue has changed.
    pub fits: bool,
    /// Time at which the value takes effect.
    pub takes_effect: TakesEffect,
}

impl ServerSetting {
    /// Returns the value, unless it is a secret.
    pub fn shown(&self) -> Option<&SettingValue> {
        self.value.as_ref().filter(|_| self.setting.form.kind() != SettingType::Secret)
    }
}

/// Settings of a server, in the order of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The server.
    pub server: Server,
    /// Its settings; empty if its game has left the catalogue.
    pub settings: Vec<ServerSetting>,
}

impl ServerSettings {
    /// Returns whether the server runs with another value than its next start will have.
    pub fn waits_for_restart(&self) -> bool {
        runs(&self.server) && self.settings.iter().any(|setting| setting.takes_effect == TakesEffect::NextStart)
    }
}

impl Servers {
    /// Returns the settings of a server that the caller may read.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does.
    pub async fn settings(&self, caller: &UserId, id: ServerId) -> Result<ServerSettings, ServersError> {
        self.allowed(caller, id, Permission::Read).await?;
        let stored = self.settings.settings(id).await?;
        Ok(self.server_settings(stored.ok_or(ServersError::NotFound("server"))?))
    }

    /// Changes single settings of a server. Only its owner may, and not those of the operator. The others stay.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does, and if a value does not fit.
    pub async fn change_settings(
        &self,
        caller: &UserId,
        id: ServerId,
        change: SettingsChange,
    ) -> Result<ServerSettings, ServersError> {
        self.allowed(caller, id, Needed::Ownership).await?;
        self.write_settings(id, Some(caller), change).await
    }

    /// Changes single settings of any server, for the operator.
    ///
    /// # Errors
    /// Fails if there is no such server, or a value does not fit.
    pub async fn change_settings_as_operator(
        &self,
        id: ServerId,
        change: SettingsChange,
    ) -> Result<ServerSettings, ServersError> {
        self.write_settings(id, None, change).await
    }

    async fn write_settings(
        &self,
        id: ServerId,
        owner: Option<&UserId>,
        change: SettingsChange,
    ) -> Result<ServerSettings, ServersError> {
        let not_found = || ServersError::NotFound("server");
        let stored = self.settings.settings(id).await?.ok_or_else(not_found)?;
        if change.is_empty() {
            return Ok(self.server_settings(stored));
        }
        let by = if owner.is_some() { SettingBy::Owner } else { SettingBy::Operator };
        // A value of an earlier catalogue may be removed.
        let is_left = |name: &str, value: Option<&SettingValue>| value.is_none() && stored.chosen.contains_key(name);
        let game = self.catalogue.get(&stored.server.game_type);
        let is_known = |name: &str| game.is_some_and(|game| game.setting(name).is_some());
        let checked = change.iter().map(|(name, value)| (name.as_str(), value.as_ref()));
        let checked = checked.filter(|(name, value)| is_known(name) || !is_left(name, *value));
        check(game.map(|game| &**game), checked, by)?;
        if let Some(game) = game {
            check_files(game, &stored, &change)?;
        }
        let change: Vec<_> = change.into_iter().collect();
        let changed = self.settings.change_settings(id, owner, &change).await.map_err(|error| match error {
            SettingsWriteError::TooLarge => {
                let rule = format!("have at most {} KiB together", SETTINGS_BYTES / 1024);
                invalid("settings", rule)
            }
            SettingsWriteError::Store(error) => ServersError::Store(error),
        })?;
        Ok(self.server_settings(changed.ok_or_else(not_found)?))
    }

    fn server_settings(&self, StoredSettings { server, chosen, launched }: StoredSettings) -> ServerSettings {
        let game = self.catalogue.get(&server.game_type);
        let unheld = game.map(|game| game.unheld_settings(&server.name, &chosen)).unwrap_or_default();
        let settings = game.into_iter().flat_map(|game| &game.settings).map(|setting| {
            let of = |values: &SettingValues| values.get(&setting.name).or(setting.default.as_ref()).cloned();
            let value = of(&chosen);
            let in_use = match &launched {
                // The default may have changed since, and a setting may have come.
                Launched::All(values) => values.get(&setting.name).cloned(),
                Launched::Chosen(values) => of(values),
            };
            let is_in_use = runs(&server) && value == in_use;
            ServerSetting {
                is_chosen: chosen.contains_key(&setting.name),
                fits: value.as_ref().is_some_and(|value| setting.form.fits(value))
                    && unheld.iter().all(|problem| problem.setting != setting.name),
                value,
                takes_effect: if is_in_use { TakesEffect::Now } else { TakesEffect::NextStart },
                setting: setting.clone(),
            }
        });
        let settings = settings.collect();
        ServerSettings { server, settings }
    }
}

/// Returns whether a start has given the server its values.
fn runs(server: &Server) -> bool {
    matches!(server.status, Status::Running | Status::Starting)
}

/// Checks whether the game's files can hold the new values.
///
/// # Errors
/// Returns every value that a file cannot hold. A value of before that did not fit is no reason to refuse others.
fn check_files(game: &Game, stored: &StoredSettings, change: &SettingsChange) -> Result<(), ServersError> {
    let StoredSettings { server, chosen, .. } = stored;
    let mut after = chosen.clone();
    for (name, value) in change {
        match value {
            Some(value) => drop(after.insert(name.clone(), value.clone())),
            None => drop(after.remove(name)),
        }
    }
    let before = game.unheld_settings(&server.name, chosen);
    let is_new = |problem: &SettingProblem| change.contains_key(&problem.setting) || !before.contains(problem);
    held(game.unheld_settings(&server.name, &after).into_iter().filter(is_new).collect())
}

/// Returns an error unless there is no problem.
pub(crate) fn held(problems: Vec<SettingProblem>) -> Result<(), ServersError> {
    if problems.is_empty() { Ok(()) } else { Err(ServersError::InvalidSettings(problems)) }
}

/// Checks new values of settings.
///
/// # Errors
/// Returns every value that does not fit; else the first setting that only an operator may change.
pub(crate) fn check<'a>(
    game: Option<&Game>,
    change: impl IntoIterator<Item = (&'a str, Option<&'a SettingValue>)>,
    by: SettingBy,
) -> Result<(), ServersError> {
    let (mut problems, mut operators) = (vec![], None);
    for (name, value) in change {
        let problem = match game.and_then(|game| game.setting(name)) {
            None => Some("is no setting of this game".to_owned()),
            Some(setting) => {
                if setting.by == SettingBy::Operator && by == SettingBy::Owner {
                    operators = operators.or(Some(name.to_owned()));
                }
                value.filter(|value| !setting.form.fits(value)).map(|_| setting.form.rule())
            }
        };
        problems.extend(problem.map(|problem| SettingProblem { setting: name.to_owned(), problem }));
    }
    match (problems.is_empty(), operators) {
        (false, _) => Err(ServersError::InvalidSettings(problems)),
        (true, Some(name)) => Err(ServersError::OperatorSetting(name)),
        (true, None) => Ok(()),
    }
}
