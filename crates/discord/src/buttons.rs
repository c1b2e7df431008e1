//! Carries out presses of buttons, and takes modals.

use agis_base::{Reach, ServerId};
use agis_servers::{Action, Origin};
use twilight_model::id::{Id, marker::MessageMarker};

use crate::{
    answer::Answer,
    answer::Follow,
    call::Call,
    code::{Code, Listed, Loss, check},
    commands::{announcement, apikey, batch, schedule, server, settings},
    context::Context,
    once,
    render::{self, text::plain},
    wording::Refusal,
};

/// Carries out the press of a button.
pub(crate) async fn press(
    context: &Context,
    call: &Call,
    code: &str,
    message: Option<Id<MessageMarker>>,
) -> Result<Answer, Refusal> {
    let Some(code) = Code::parse(code) else {
        return Err(Refusal::refused("This button is of another version. Type the command anew."));
    };
    match code {
        Code::Act(action, server) => act(context, call, server, action).await,
        Code::Cancel(id) => batch::cancel(context, call, id).await,
        Code::Settings(server, page) => settings::open(context, call, server, page).await,
        Code::Run(press, run, due) => announcement::press(context, call, (press, due), run).await,
        Code::Turn(list, page) => turn(context, call, list, page).await,
        Code::Keep(who) => {
            check(call, &who)?;
            Ok(render::done("Kept", "Nothing was changed.").into())
        }
        Code::Confirm(loss, who) => {
            check(call, &who)?;
            let Some(message) = message else { return Err(Refusal::refused("Type the command anew.")) };
            if !context.confirmed.is_new(message) {
                return Err(Refusal::refused("You have confirmed this already."));
            }
            // A second process would find nothing to delete, and might say so first.
            let lost = once::once(&context.services, call, "confirm", |_| lose(context, call, loss, message)).await;
            if lost.is_err() {
                // The user can try again.
                context.confirmed.forget(&message);
            }
            lost
        }
    }
}

/// Takes a modal that was filled in: the texts by the names of its fields.
pub(crate) async fn submit(
    context: &Context,
    call: &Call,
    code: &str,
    typed: Vec<(String, String)>,
) -> Result<Answer, Refusal> {
    match Code::parse(code) {
        Some(Code::Settings(server, _)) => settings::submit(context, call, server, typed).await,
        _ => Err(Refusal::refused("This form is of another version. Type the command anew.")),
    }
}

async fn act(context: &Context, call: &Call, server: ServerId, action: Action) -> Result<Answer, Refusal> {
    let (server, _) = context.services.servers.get(&call.user, server).await?;
    let request = call.request(server.id, action, once::key(call));
    let operation = context.services.servers.request(request).await?;
    Ok(Follow::operation(server, operation).begin())
}

/// Shows another page.
async fn turn(context: &Context, call: &Call, list: Listed, page: u32) -> Result<Answer, Refusal> {
    match list {
        Listed::Servers(label) => server::list(context, call, label, page).await,
        Listed::Schedules(of) => schedule::list_page(context, call, of, page).await,
        Listed::Keys => apikey::list(context, call, page).await,
    }
}

/// Deletes something. The message of the button is the idempotency key, so two presses at once are one, also in two
/// processes.
async fn lose(context: &Context, call: &Call, loss: Loss, message: Id<MessageMarker>) -> Result<Answer, Refusal> {
    let services = &context.services;
    match loss {
        Loss::Server(id) => {
            let (server, _) = services.servers.get(&call.user, id).await?;
            let request = call.request(id, Action::Delete, format!("discord:confirmed:{message}"));
            let operation = services.servers.request(request).await?;
            Ok(Follow::operation(server, operation).begin())
        }
        Loss::Schedule(id) => {
            let off = services.schedules.delete(&call.user, &Reach::Every, id).await?;
            services.servers.tell_players_meanwhile(&call.user, Origin::Discord, off);
            Ok(render::done("Schedule deleted", &format!("Schedule {id} is gone, and its history with it.")).into())
        }
        Loss::Key(id) => {
            let key = services.keys.get(&call.user, id).await?;
            services.keys.revoke(&call.user, id).await?;
            let said = format!("**{}** (key {id}) opens nothing any more.", plain(&key.name));
            Ok(render::done("Key revoked", &said).into())
        }
    }
}
