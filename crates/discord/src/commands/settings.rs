//! Settings of a server: a list, and a modal for some of them at a time.

use agis_base::ServerId;
use agis_servers::{
    RestartChoice, RestartOn, ServerChange,
    game::{GameSetting, SettingForm},
    settings::{ServerSettings, SettingsChange},
};

use crate::{
    answer::Answer,
    call::{Args, Call},
    commands::label,
    context::Context,
    find,
    render::{
        server as pages, settings as page,
        text::{cut, plain},
    },
    wording::Refusal,
};

/// Opens the modal, or lists the settings if they do not fit into one modal, or are not the caller's to change.
pub(crate) async fn show(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let (server, _) = find::server(&context.services, call, &args.needed("server")?).await?;
    let reset_too = args.text("reset");
    if let Some(on) = args.text("restarts") {
        let changed = restarts(context, call, server.id, &on).await?;
        if reset_too.is_none() && args.text("labels").is_none() {
            return Ok(changed);
        }
    }
    if let Some(typed) = args.text("labels") {
        let changed = labels(context, call, server.id, &typed).await?;
        if reset_too.is_none() {
            return Ok(changed);
        }
    }
    if let Some(setting) = reset_too {
        return reset(context, call, server.id, &setting).await;
    }
    let settings = context.services.servers.settings(&call.user, server.id).await?;
    let is_owner = settings.server.owner == call.user;
    let modal = page::modal(&settings, 0).filter(|_| is_owner && page::pages(&settings).len() == 1);
    Ok(Answer { modal, ..page::list(&settings, is_owner, "").into() })
}

/// Gives the server other labels.
async fn labels(context: &Context, call: &Call, server: ServerId, typed: &str) -> Result<Answer, Refusal> {
    let change = ServerChange { labels: Some(label::read(typed)?), ..ServerChange::default() };
    let server = context.services.servers.change(&call.user, server, change).await?;
    Ok(pages::labels(&server).into())
}

/// Changes the ends after which a server is started again.
async fn restarts(context: &Context, call: &Call, server: ServerId, on: &str) -> Result<Answer, Refusal> {
    let on = RestartOn::from_word(on);
    let on = on.ok_or_else(|| Refusal::refused("A server comes back after a `crash`, `always` or `never`."))?;
    let choice = RestartChoice { on: Some(on), ..RestartChoice::default() };
    let change = ServerChange { restart_choice: Some(Some(choice)), ..ServerChange::default() };
    let servers = &context.services.servers;
    let server = servers.change(&call.user, server, change).await?;
    Ok(pages::restarts(&server, &servers.restart_policy(&server)).into())
}

/// Sets a setting back to its default. Its name, or its title, is typed.
async fn reset(context: &Context, call: &Call, server: ServerId, typed: &str) -> Result<Answer, Refusal> {
    let servers = &context.services.servers;
    let before = servers.settings(&call.user, server).await?;
    let is_meant = |text: &str| text.to_lowercase() == typed.to_lowercase();
    let meant = before.settings.iter().find(|it| is_meant(&it.setting.name) || is_meant(&it.setting.title));
    let Some(GameSetting { name, title, .. }) = meant.map(|it| &it.setting) else {
        let sentence = format!(
            "This server has no setting “{}”. Choose one from the list that appears as you type.",
            cut(&plain(typed), 100)
        );
        return Err(Refusal::Refused(sentence));
    };
    let settings = servers.change_settings(&call.user, server, [(name.clone(), None)].into()).await?;
    Ok(page::list(&settings, true, &format!("**{}** is back at its default.", plain(title))).into())
}

/// Opens the modal of a page.
pub(crate) async fn open(context: &Context, call: &Call, server: ServerId, number: u32) -> Result<Answer, Refusal> {
    let settings = context.services.servers.settings(&call.user, server).await?;
    let is_owner = settings.server.owner == call.user;
    let modal = page::modal(&settings, number).filter(|_| is_owner);
    Ok(Answer { modal, ..page::list(&settings, is_owner, "").into() })
}

/// Stores what was typed into a modal. Fields that were left as they were stay so.
pub(crate) async fn submit(
    context: &Context,
    call: &Call,
    server: ServerId,
    typed: Vec<(String, String)>,
) -> Result<Answer, Refusal> {
    let servers = &context.services.servers;
    let change = changed(&servers.settings(&call.user, server).await?, typed);
    let begin = match change.len() {
        0 => "Nothing was changed.".to_owned(),
        1 => "1 setting was changed.".to_owned(),
        more => format!("{more} settings were changed."),
    };
    let settings = servers.change_settings(&call.user, server, change).await?;
    Ok(page::list(&settings, true, &begin).into())
}

fn changed(settings: &ServerSettings, typed: Vec<(String, String)>) -> SettingsChange {
    let mut change = SettingsChange::new();
    for (name, text) in typed {
        let Some(of_server) = settings.settings.iter().find(|it| it.setting.name == name) else {
            // The game has it no longer; the service says so.
            change.insert(name, Some(serde_json::Value::from(text).into()));
            continue;
        };
        let form = &of_server.setting.form;
        let is_kept = matches!(form, SettingForm::Secret(_)) && text.is_empty();
        let value = form.of_typed(&text);
        if !is_kept && of_server.value.as_ref() != Some(&value) {
            change.insert(name, Some(value));
        }
    }
    change
}
