//! The commands, each in the words of the domains.

pub(crate) mod announcement;
pub(crate) mod apikey;
pub(crate) mod batch;
pub(crate) mod help;
pub(crate) mod hold;
pub(crate) mod idle;
pub(crate) mod label;
pub(crate) mod profile;
pub(crate) mod schedule;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod share;

use crate::{
    answer::Answer,
    call::{Args, Call},
    context::Context,
    verb::Verb,
    wording::Refusal,
};

/// Carries out a command.
pub(crate) async fn run(context: &Context, call: &Call, verb: Verb, args: &Args) -> Result<Answer, Refusal> {
    use agis_base::PowerAction as Action;
    match verb {
        Verb::ServerList => server::list(context, call, label::typed(args)?, 0).await,
        Verb::ServerCreate => server::create(context, call, args).await,
        Verb::ServerInfo => server::info(context, call, args).await,
        Verb::ServerStart => server::act(context, call, args, Action::Start).await,
        Verb::ServerStop => server::act(context, call, args, Action::Stop).await,
        Verb::ServerRestart => server::act(context, call, args, Action::Restart).await,
        Verb::ServerAnnounce => announcement::announce(context, call, args).await,
        Verb::ServerHold => hold::hold(context, call, args).await,
        Verb::ServerRelease => hold::release(context, call, args).await,
        Verb::ServerIdle => idle::idle(context, call, args).await,
        Verb::ServerDelete => server::ask_to_delete(context, call, args).await,
        Verb::ServerSettings => settings::show(context, call, args).await,
        Verb::ServerPlayers => server::players(context, call, args).await,
        Verb::ServerLogs => server::logs(context, call, args).await,
        Verb::ServerCommand => server::command(context, call, args).await,
        Verb::ServerShare => share::share(context, call, args).await,
        Verb::ServerUnshare => share::unshare(context, call, args).await,
        Verb::ServerLeave => share::leave(context, call, args).await,
        Verb::ScheduleCreate => schedule::create(context, call, args).await,
        Verb::ScheduleList => schedule::list(context, call, args).await,
        Verb::ScheduleDelete => schedule::ask_to_delete(context, call, args).await,
        Verb::ScheduleEnable => schedule::switch(context, call, args, true).await,
        Verb::ScheduleDisable => schedule::switch(context, call, args, false).await,
        Verb::ScheduleRun => schedule::run_now(context, call, args).await,
        Verb::ScheduleHistory => schedule::history(context, call, args).await,
        Verb::ScheduleCancel => schedule::cancel(context, call, args).await,
        Verb::ScheduleSkip => schedule::skip(context, call, args).await,
        Verb::SchedulePostpone => schedule::postpone(context, call, args).await,
        Verb::SchedulePreview => schedule::preview(context, args),
        Verb::ApikeyCreate => apikey::create(context, call, args).await,
        Verb::ApikeyList => apikey::list(context, call, 0).await,
        Verb::ApikeyRevoke => apikey::ask_to_revoke(context, call, args).await,
        Verb::Profile => profile::show(context, call).await,
        Verb::Help => Ok(help::show(context)),
    }
}
