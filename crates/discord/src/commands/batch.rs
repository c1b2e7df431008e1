//! `/server start`, `stop` and `restart` with a label

use agis_base::{BatchId, Label, Pace, PowerAction, Reach, Span, Trace};
use agis_servers::{Origin, ServersError, batch::NewBatch};

use crate::{
    answer::{Answer, Follow},
    call::{Args, Call},
    context::Context,
    once::once,
    wording::Refusal,
};

/// Times between two servers: label and word.
pub(crate) const STAGGERS: &[(&str, &str)] =
    &[("30 seconds", "30s"), ("1 minute", "1m"), ("2 minutes", "2m"), ("5 minutes", "5m"), ("10 minutes", "10m")];

/// Acts on every server with a label. The message follows them all.
pub(crate) async fn begin(
    context: &Context,
    call: &Call,
    args: &Args,
    label: Label,
    action: PowerAction,
) -> Result<Answer, Refusal> {
    if args.text("warn").is_some() {
        return Err(Refusal::refused(
            "`warn` is for one `server`. For a `label`, `/schedule create` with `label`, `action`, `at` and `warn` tells the \
             players of each.",
        ));
    }
    let servers = &context.services.servers;
    let new = NewBatch {
        label,
        action,
        pace: pace(args)?,
        origin: Origin::Discord,
        actor: call.user.clone(),
        channel: call.member.as_ref().and(call.channel.clone()),
        trace: Some(Trace::ours(call.id)),
    };
    let batch = once(&context.services, call, "server actions", |once| async move {
        if let Some(begun) = servers.begun_batch(Some(&once)).await? {
            return Ok(begun);
        }
        let planned = servers.plan_batch(&Reach::Every, new).await.map_err(|error| match error {
            ServersError::NotFound(_) => Refusal::refused(
                "No server of yours carries this label. `/server list` with `label` shows those that carry one, and `/server \
                 settings` gives it.",
            ),
            other => other.into(),
        })?;
        Ok(servers.begin_batch(planned, Some(&once)).await?)
    })
    .await?;
    Ok(Follow::Batch(Box::new(batch)).begin())
}

/// Leaves the servers alone that still wait. Only the user who asked can.
pub(crate) async fn cancel(context: &Context, call: &Call, id: BatchId) -> Result<Answer, Refusal> {
    let cancelled = context.services.servers.cancel_batch(&call.user, &Reach::Every, id).await;
    let batch = cancelled.map_err(|error| match error {
        ServersError::NotFound(_) => Refusal::refused("Only who asked for this can leave the rest alone."),
        other => other.into(),
    })?;
    Ok(Follow::Batch(Box::new(batch)).begin())
}

/// Refuses a pace that is given for one server.
pub(crate) fn check_no_pace(args: &Args) -> Result<(), Refusal> {
    match ["at_most", "stagger"].into_iter().find(|option| args.is_given(option)) {
        Some(option) => {
            Err(Refusal::Refused(format!("`{option}` is for a `label`, not for one `server`. Leave it out.")))
        }
        None => Ok(()),
    }
}

/// Reads the pace of work on many servers.
pub(crate) fn pace(args: &Args) -> Result<Pace, Refusal> {
    let stagger = args.text("stagger").map(|text| text.parse::<Span>()).transpose();
    let stagger =
        stagger.map_err(|_| Refusal::refused("Choose from the list how long to wait between two servers."))?;
    Ok(Pace { at_most: args.number("at_most"), stagger })
}
