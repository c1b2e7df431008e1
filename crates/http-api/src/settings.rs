//! `/servers/{id}/settings`

use std::{borrow::Cow, collections::BTreeMap};

use actix_web::web::{Data, Json};
use agis_servers::{
    game::{SettingBy, SettingForm, SettingType, SettingValue},
    settings::{ServerSetting, ServerSettings, SettingsChange, TakesEffect},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{AdditionalProperties, Type},
    },
};

use crate::{
    auth::{Here, May, ReadServers, WriteServers},
    body::Body,
    problem::Problem,
    services::Services,
    words,
};

/// New values by the names of the settings; null goes back to the default. Settings that are absent stay as they are.
#[derive(Deserialize)]
pub(crate) struct ChangeSettings(BTreeMap<String, Option<Value>>);

// The derived schema gives the example to the names.
impl PartialSchema for ChangeSettings {
    fn schema() -> RefOr<Schema> {
        let text = "New values by the names of the settings; null goes back to the default. Settings that are absent stay \
                    as they are.";
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(text))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .examples([json!({ "greeting": "Welcome!" })])
            .into()
    }
}

impl ToSchema for ChangeSettings {
    fn name() -> Cow<'static, str> {
        "SettingsChange".into()
    }
}

/// Value of a `choice`.
#[derive(Serialize, ToSchema)]
#[schema(as = SettingChoice)]
pub(crate) struct ChoiceDto {
    value: String,
    /// The name for people.
    title: String,
}

/// A setting of a server.
#[derive(Serialize, ToSchema)]
#[schema(as = Setting)]
pub(crate) struct SettingDto {
    name: String,
    #[schema(value_type = words::SettingType)]
    r#type: &'static str,
    /// The name for people.
    title: String,
    /// An explanation for people; empty for none.
    help: String,
    /// The rule for its values, for people.
    rule: String,
    /// The value for the next start: a text, a number, true or false, or a list of port numbers. Null for a secret, and
    /// where a value has to be chosen before the first start.
    #[schema(value_type = Value)]
    value: Option<Value>,
    /// Whether somebody has chosen a value. Otherwise the default applies.
    is_set: bool,
    /// Whether the value fits. If not, a start fails until the setting is changed.
    fits: bool,
    /// Null for a secret, and where there is none.
    #[schema(value_type = Value)]
    default: Option<Value>,
    /// The values of a `choice`; empty for other types.
    choices: Vec<ChoiceDto>,
    #[schema(value_type = words::SettingBy)]
    by: &'static str,
    #[schema(value_type = words::TakesEffect)]
    takes_effect: &'static str,
}

/// The settings of a server, in the order of its game.
#[derive(Serialize, ToSchema)]
#[schema(as = Settings, examples(json!({ "items": [{
    "name": "greeting", "type": "text", "title": "Greeting", "help": "A line on the console", "rule":
    "must be a text of 0 to 100 characters on one line", "value": "Welcome!", "is_set": true, "fits": true,
    "default": "", "choices": [], "by": "owner", "takes_effect": "next_start"
}] })))]
pub(crate) struct SettingsDto {
    items: Vec<SettingDto>,
}

impl From<ServerSettings> for SettingsDto {
    fn from(settings: ServerSettings) -> Self {
        Self { items: settings.settings.into_iter().map(SettingDto::from).collect() }
    }
}

impl From<ServerSetting> for SettingDto {
    fn from(of_server: ServerSetting) -> Self {
        let value = of_server.shown().map(|value| value.expose().clone());
        let ServerSetting { setting, is_chosen, fits, takes_effect, .. } = of_server;
        let default = setting.default.filter(|_| setting.form.kind() != SettingType::Secret);
        let rule = setting.form.rule();
        let choices = match &setting.form {
            SettingForm::Choice(choices) => choices.clone(),
            _ => vec![],
        };
        Self {
            r#type: setting.form.kind().as_str(),
            name: setting.name,
            title: setting.title,
            help: setting.help,
            rule,
            value,
            is_set: is_chosen,
            fits,
            default: default.map(|value| value.expose().clone()),
            choices: choices.into_iter().map(|choice| ChoiceDto { value: choice.value, title: choice.title }).collect(),
            by: SettingBy::as_str(setting.by),
            takes_effect: TakesEffect::as_str(takes_effect),
        }
    }
}

/// Returns the values of a body. Null is no value.
pub(crate) fn values(body: BTreeMap<String, Option<Value>>) -> SettingsChange {
    body.into_iter().map(|(name, value)| (name, value.map(SettingValue::from))).collect()
}

/// Get the settings of a server
///
/// Values of secrets are never shown.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/settings", operation_id = "getSettings", tag = "servers",
    responses((status = 200, description = "The settings.", body = SettingsDto)),
)]
pub(crate) async fn get(
    caller: May<ReadServers, Here>,
    services: Data<Services>,
) -> Result<Json<SettingsDto>, Problem> {
    Ok(Json(services.servers.settings(caller.user(), caller.server()).await?.into()))
}

/// Change settings of a server
///
/// The game gets the new values at the next start; `takes_effect` says whether the running server has them already. Either
/// every value is stored, or none.
#[utoipa::path(
    patch, path = "/api/v1/servers/{id}/settings", operation_id = "changeSettings", tag = "servers",
    request_body = ChangeSettings,
    responses((status = 200, description = "All settings as they are now.", body = SettingsDto)),
)]
pub(crate) async fn change(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    body: Body<ChangeSettings>,
) -> Result<Json<SettingsDto>, Problem> {
    let change = values(body.0.0);
    Ok(Json(services.servers.change_settings(caller.user(), caller.server(), change).await?.into()))
}
