//! `/server announce`, and the buttons of announcements.

use agis_base::{Reach, Span, Timestamp};
use agis_scheduler::{
    FiringId, Schedule, SchedulesError,
    chain::{self, Postponement},
    service::PutOff,
    store::RunsQuery,
    work::postponed,
};
use agis_servers::{Origin, access::Permission};
use chrono::Utc;
use futures_util::future::join_all;

use crate::{
    answer::Answer,
    call::{Args, Call},
    code::Press,
    context::{Context, Services},
    find,
    render::{self, announcement as page, text::plain},
    wording::Refusal,
};

/// Places of announcements: label and word.
pub(crate) const PLACES: &[(&str, &str)] = &[("In this channel", "here"), ("Nowhere", "nowhere")];
/// Time by which a button puts a run off.
pub(crate) const LATER: Span = Span::of_minutes(15);

/// Sets the channel in which people hear that a server is about to stop or to restart.
pub(crate) async fn announce(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let (server, _) = find::server(&context.services, call, &args.needed("server")?).await?;
    let channel = match args.needed("where")?.as_str() {
        "nowhere" => None,
        // A direct message has one reader, who hears of their servers anyway.
        _ => Some(call.member.as_ref().and(call.channel.as_ref()).ok_or_else(|| {
            Refusal::refused("Type this in the channel of a community in which people should hear of it.")
        })?),
    };
    let server = context.services.servers.announce_in(&call.user, server.id, channel).await?;
    let name = plain(&server.name);
    let (title, said) = match channel {
        None => (format!("{name} is announced nowhere"), "Players still read warnings in the game.".to_owned()),
        Some(channel) => (
            format!("{name} is announced"),
            format!(
                "<#{channel}> hears before a warned stop or restart, with buttons to put it off. The bot must be able to write \
                 there."
            ),
        ),
    };
    Ok(render::done(&title, &said).into())
}

/// Carries out the press of a button under an announcement. Everybody may press who may make schedules for the server,
/// whoever made this one.
pub(crate) async fn press(
    context: &Context,
    call: &Call,
    (press, due): (Press, Option<Timestamp>),
    run: FiringId,
) -> Result<Answer, Refusal> {
    let services = &context.services;
    let (schedule, server) = services.schedules.announced(run).await?;
    let server = services.servers.allowed(&call.user, server, Permission::Schedule).await?;
    if matches!(press, Press::SkipNext) && schedule.target.server().is_none() && schedule.owner != call.user {
        return Err(Refusal::refused("The next run is for other servers too. Ask who made the schedule."));
    }
    match press {
        // The announcement itself tells the channel.
        Press::Postpone => {
            let wish = Postponement { by: LATER, seen: due, tell: false };
            postpone(services, call, &schedule, run, wish).await
        }
        Press::CallOff => call_off(services, call, &schedule, run, &server.name).await,
        Press::SkipNext => skip_next(services, call, &schedule, run, &server.name).await,
    }
}

/// Puts off the action of a run, or of its parts, and tells the players.
pub(crate) async fn postpone(
    services: &Services,
    call: &Call,
    schedule: &Schedule,
    run: FiringId,
    wish: Postponement,
) -> Result<Answer, Refusal> {
    let PutOff { servers, others } = services.schedules.postpone(&call.user, &Reach::Every, run, &wish).await?;
    let told = servers.iter().map(async |(server, ahead)| {
        let text = postponed(ahead.action, wish.by);
        services.servers.tell_players(&call.user, *server, Origin::Discord, &text).await;
    });
    join_all(told).await;
    let note = page::put_off(&call.user, wish.by);
    match servers.as_slice() {
        [(server, ahead)] if others == 0 => {
            let name = find::name(services, call, *server).await;
            Ok(page::changed(&name, ahead, run, schedule.next_run, &note).into())
        }
        servers => Ok(page::put_off_on(schedule, servers.len(), others, &note).into()),
    }
}

/// Ends a run.
pub(crate) async fn call_off(
    services: &Services,
    call: &Call,
    schedule: &Schedule,
    run: FiringId,
    server: &str,
) -> Result<Answer, Refusal> {
    services.schedules.cancel(&call.user, &Reach::Every, run).await?;
    Ok(page::called_off(schedule, server, run, &call.user).into())
}

/// Skips the run behind an announced one, once however often it is pressed. The announcement stays.
async fn skip_next(
    services: &Services,
    call: &Call,
    schedule: &Schedule,
    run: FiringId,
    server: &str,
) -> Result<Answer, Refusal> {
    let newest = RunsQuery { state: None, before: None, limit: 1 };
    let newest = services.schedules.runs(&schedule.owner, &Reach::Every, run.schedule, newest).await?;
    if newest.first().is_some_and(|newest| newest.slot > run.slot) {
        return Err(Refusal::refused("The run behind this one is skipped already, or has begun."));
    }
    let (schedule, slot) = skip_one(services, call, schedule).await?;
    let steps = services.schedules.run(&schedule.owner, &Reach::Every, run).await?.steps;
    let message = match chain::ahead(&steps, Utc::now()) {
        Some(ahead) => page::changed(server, &ahead, run, schedule.next_run, &page::skipped_by(&call.user, slot)),
        None => page::skipped(&schedule, server, slot),
    };
    Ok(message.into())
}

/// Skips the next run of a schedule.
pub(crate) async fn skip(
    services: &Services,
    call: &Call,
    schedule: &Schedule,
    server: &str,
) -> Result<Answer, Refusal> {
    let (schedule, slot) = skip_one(services, call, schedule).await?;
    Ok(page::skipped(&schedule, server, slot).into())
}

/// Skips the next run. Returns the schedule after that, and the slot.
async fn skip_one(services: &Services, call: &Call, schedule: &Schedule) -> Result<(Schedule, Timestamp), Refusal> {
    let Some(slot) = schedule.next_run else {
        return Err(Refusal::refused("This schedule has no further run that could be skipped."));
    };
    let next = FiringId { schedule: schedule.id, slot };
    services.schedules.cancel(&call.user, &Reach::Every, next).await.map_err(|error| match error {
        SchedulesError::NoRun | SchedulesError::NotCancellable => {
            Refusal::refused("The next run is beginning at this moment. `/schedule cancel` ends it.")
        }
        error => error.into(),
    })?;
    Ok((services.schedules.get(&schedule.owner, &Reach::Every, schedule.id).await?, slot))
}
