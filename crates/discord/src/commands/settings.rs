//! Settings of a server: a list, and a modal for some of them at a time.

use agis_base::ServerId;
use agis_servers::{
    game::SettingForm,
    settings::{ServerSettings, SettingsChange},
};

use crate::{
    answer::Answer,
    call::{Args, Call},
    context::Context,
    find,
    render::settings as page,
    wording::Refusal,
};

/// Opens the modal, or lists the settings if they do not fit into one modal, or are not the caller's to change.
pub(crate) async fn show(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let (server, _) = find::server(&context.services, call, &args.needed("server")?).await?;
    let settings = context.services.servers.settings(&call.user, server.id).await?;
    let is_owner = settings.server.owner == call.user;
    let modal = page::modal(&settings, 0).filter(|_| is_owner && page::pages(&settings).len() == 1);
    Ok(Answer { modal, ..page::list(&settings, is_owner, "").into() })
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
