//! What is delivered twice is done once, also by two processes: an interaction's id is its idempotency key.
//!
//! An operation carries the key in its own row; what else is made is noted in the transaction that makes it; what is
//! taken away is gone either way, and noted so that one tells it. Discord takes one answer to an interaction, and
//! nothing but our own deferral is ever edited, so the second delivery never answers over the first.

use agis_base::Once;
use agis_idempotency::{Asked, Begun, Fingerprint, Reply};
use twilight_model::id::{Id, marker::InteractionMarker};

use crate::{call::Call, context::Services, wording::Refusal};

/// The answer that is kept says only that there was one: a key is shown once, and the rest can be looked at.
const DONE: Reply = Reply { status: 201, content_type: None, location: None, body: Vec::new() };

/// The key of an interaction.
pub(crate) fn key(call: &Call) -> String {
    format!("discord:{}", call.id)
}

/// The interaction of a key.
pub(crate) fn interaction(key: &str) -> Option<Id<InteractionMarker>> {
    Id::new_checked(key.strip_prefix("discord:")?.parse().ok()?)
}

/// Makes something, unless another delivery of this interaction has made it or is about to.
pub(crate) async fn once<T, F: Future<Output = Result<T, Refusal>>>(
    services: &Services,
    call: &Call,
    what: &str,
    make: impl FnOnce(Once) -> F,
) -> Result<T, Refusal> {
    let asked =
        Asked { key: key(call).into(), user: call.user.clone(), fingerprint: Fingerprint::of(&[what.as_bytes()]) };
    let once = match services.idempotency.begin(&asked).await? {
        Begun::Now(once) => once,
        Begun::Before(_) | Begun::InFlight { .. } | Begun::Other => return Err(Refusal::Repeated),
        Begun::TooMany => {
            return Err(Refusal::refused("You have made very many things today. Come again tomorrow."));
        }
    };
    let made = make(once.clone()).await;
    let ended = match &made {
        Ok(_) => services.idempotency.finish(&once, &DONE).await,
        Err(_) => services.idempotency.abandon(&once).await,
    };
    if let Err(error) = ended {
        tracing::warn!(%error, "end of an interaction could not be stored");
    }
    made
}
