//! Does an interaction once, however often and to how many processes Discord delivers it. Its id is the idempotency
//! key.
//!
//! An operation carries the key in its own row. Other creations note the key in their transaction. A deletion is noted
//! so that one delivery reports it. A command for a game leaves no trace of its own, so it is noted before it is sent.
//! Discord accepts one answer to an interaction, and the bot edits only its own
//! deferral, so the second delivery never answers over the first.

use agis_base::{Once, ServerId, StoreError};
use agis_idempotency::{Asked, Begun, Fingerprint, Reply};
use agis_servers::console::{Answer, Command};
use twilight_model::id::{Id, marker::InteractionMarker};

use crate::{call::Call, context::Services, wording::Refusal};

/// Stored answer, without content: a key is shown once, and the rest can be looked up.
const DONE: Reply = Reply { status: 201, content_type: None, location: None, body: Vec::new() };

/// Returns the key of an interaction.
pub(crate) fn key(call: &Call) -> String {
    format!("discord:{}", call.id)
}

/// Returns the interaction of a key.
pub(crate) fn interaction(key: &str) -> Option<Id<InteractionMarker>> {
    Id::new_checked(key.strip_prefix("discord:")?.parse().ok()?)
}

/// Creates something, unless another delivery of this interaction has created it or is about to.
pub(crate) async fn once<T, F: Future<Output = Result<T, Refusal>>>(
    services: &Services,
    call: &Call,
    what: &str,
    make: impl FnOnce(Once) -> F,
) -> Result<T, Refusal> {
    let once = begin(services, call, what).await?;
    let made = make(once.clone()).await;
    note(match &made {
        Ok(_) => services.idempotency.finish(&once, &DONE).await,
        Err(_) => services.idempotency.abandon(&once).await,
    });
    made
}

/// Sends a command to a game, unless another delivery of this interaction has sent it or is about to. A command that may
/// have reached the game is never sent again, whichever process dies.
pub(crate) async fn send(
    services: &Services,
    call: &Call,
    server: ServerId,
    command: Command,
) -> Result<Answer, Refusal> {
    let once = begin(services, call, "server command").await?;
    if !services.idempotency.venture(&once, server.0).await? {
        return Err(Refusal::Repeated);
    }
    let sent = command.send().await;
    match &sent {
        Err(error) if error.is_refusal() => {
            note(services.idempotency.withdraw(&once).await);
            note(services.idempotency.abandon(&once).await);
        }
        _ => note(services.idempotency.finish(&once, &DONE).await),
    }
    Ok(sent?)
}

async fn begin(services: &Services, call: &Call, what: &str) -> Result<Once, Refusal> {
    let asked =
        Asked { key: key(call).into(), user: call.user.clone(), fingerprint: Fingerprint::of(&[what.as_bytes()]) };
    match services.idempotency.begin(&asked).await? {
        Begun::Now(once) => Ok(once),
        Begun::Before(_) | Begun::InFlight { .. } | Begun::Other => Err(Refusal::Repeated),
        Begun::TooMany => Err(Refusal::refused("You have made very many things today. Come again tomorrow.")),
    }
}

fn note(ended: Result<(), StoreError>) {
    if let Err(error) = ended {
        tracing::warn!(%error, "end of an interaction could not be stored");
    }
}
