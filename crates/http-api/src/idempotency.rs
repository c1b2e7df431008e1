//! What is asked again is answered again: `Idempotency-Key` on every POST, as draft-ietf-httpapi-idempotency-key-header
//! has it and Stripe does it.
//!
//! The first request with a key is done, and its answer kept where it was decided: a success, or a refusal for what
//! there is (404, 409). What was refused for its form, its authority or its moment did nothing, and may be put right
//! and sent under the same key. What was made is noted by the transaction that makes it ([`Asking`]), so that a request
//! whose process died before it was answered finds it.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
    },
    middleware::Next,
    web::{Bytes, Data},
};
use agis_base::{Once, UserId};
use agis_idempotency::{Asked, Begun, Fingerprint, Idempotency, Reply};
use tokio::runtime::Handle;

use crate::{
    auth::{self, Caller},
    body,
    problem::{Code, Problem},
    services::Services,
};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that is repeated.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_MAX: usize = 255;
/// No resource has a longer path; keys are stored with it.
const PATH_MAX: usize = 512;
/// Seconds after which a few keys of many are forgotten.
const TOO_MANY_S: u64 = 600;

/// How the request that is being handled is done once; taken by every handler that makes something.
pub(crate) struct Asking(Option<Once>);

impl Asking {
    /// None where the caller has not asked for it.
    pub(crate) fn once(&self) -> Option<&Once> {
        self.0.as_ref()
    }

    /// Notes that something begins which leaves no trace to find it by, so that no retry begins it again.
    ///
    /// # Errors
    /// An earlier attempt has begun it, and nobody knows how far it came.
    pub(crate) async fn venture(&self, idempotency: &Idempotency, subject: i32) -> Result<(), Problem> {
        match self.once() {
            Some(once) if !idempotency.venture(once, subject).await? => Err(outcome_unknown()),
            _ => Ok(()),
        }
    }

    /// Takes the note back: it is known that nothing happened, so a retry may begin it.
    pub(crate) async fn withdraw(&self, idempotency: &Idempotency) {
        let Some(once) = self.once() else { return };
        if let Err(error) = idempotency.withdraw(once).await {
            tracing::warn!(%error, "note of a console command could not be removed");
        }
    }
}

fn outcome_unknown() -> Problem {
    let detail = "an earlier request with this Idempotency-Key was cut off while it typed the line, so nobody knows \
                  whether the game got it, and it is not typed again; look at the console, and send it under another \
                  key where it is missing";
    Problem::new(Code::OutcomeUnknown, detail)
}

impl FromRequest for Asking {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.extensions().get::<Once>().cloned())))
    }
}

/// The `Idempotency-Key` header, made the caller's and this route's own. Operations are known by it, also where they
/// come from a DELETE.
pub(crate) fn key(http: &HttpRequest, user: &UserId) -> Result<Option<Arc<str>>, Problem> {
    let mut values = http.headers().get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    let visible = |key: &&str| (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = value.to_str().ok().filter(visible).filter(|_| values.next().is_none()).ok_or_else(|| {
        let detail = format!("the header Idempotency-Key is sent once, with 1 to {KEY_MAX} visible ASCII characters");
        Problem::new(Code::InvalidIdempotencyKey, detail)
    })?;
    if http.path().len() > PATH_MAX {
        return Err(Problem::not_found("no such resource; no path here is so long"));
    }
    // Neither a path nor a key has a space.
    Ok(Some(format!("rest:{user}:{} {} {key}", http.method(), http.path()).into()))
}

/// Does a POST with a key once, and repeats its answer. It stands behind the router: what leads nowhere is not kept.
pub(crate) async fn once(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let in_flight = match begin(&mut request).await {
        Ok(Begin::Unnamed) => return Ok(next.call(request).await?.map_into_boxed_body()),
        Ok(Begin::Now(in_flight)) => in_flight,
        Ok(Begin::Before(reply)) => return Ok(request.into_response(replay(reply))),
        Err(problem) => return Ok(request.into_response(problem.error_response())),
    };
    request.extensions_mut().insert(in_flight.once.clone());
    let (http, response) = next.call(request).await?.map_into_boxed_body().into_parts();
    let (head, body) = response.into_parts();
    let (reply, body) = match body.try_into_bytes() {
        Ok(bytes) => (kept(head.status(), head.headers(), &bytes), BoxBody::new(bytes)),
        Err(stream) => (None, stream),
    };
    in_flight.end(reply).await;
    Ok(ServiceResponse::new(http, head.set_body(body)))
}

enum Begin {
    Unnamed,
    Now(InFlight),
    Before(Reply),
}

async fn begin(request: &mut ServiceRequest) -> Result<Begin, Problem> {
    let Some(asked) = asked(request).await? else { return Ok(Begin::Unnamed) };
    let services = request.app_data::<Data<Services>>().cloned();
    let idempotency = services.ok_or_else(|| Problem::internal(&"the services are missing"))?.idempotency.clone();
    match idempotency.begin(&asked).await? {
        Begun::Now(once) => Ok(Begin::Now(InFlight { once, idempotency, ended: false })),
        Begun::Before(reply) => Ok(Begin::Before(reply)),
        Begun::InFlight { left } => {
            let seconds = u64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1);
            let detail = format!(
                "a request with this Idempotency-Key is being worked on, or was lost with its process; in {seconds} s at \
                 the latest it can be sent again"
            );
            Err(Problem::new(Code::IdempotencyInFlight, detail).after(seconds))
        }
        Begun::Other => {
            let detail = "this Idempotency-Key was used for another request: the body, the query, or what the API key \
                          may do was not the same; take a new one";
            Err(Problem::new(Code::IdempotencyKeyReused, detail))
        }
        Begun::TooMany => {
            let max = Idempotency::PER_USER;
            let detail = format!("{max} of your Idempotency-Keys are remembered, each for a day; no more are taken");
            Err(Problem::new(Code::TooManyIdempotencyKeys, detail).after(TOO_MANY_S))
        }
    }
}

/// What makes the request this one and no other; none where its caller gave it no key. An answer may
/// show what only its caller may see, so another API key of the same user hears it again only where it may do the same.
async fn asked(request: &mut ServiceRequest) -> Result<Option<Asked>, Problem> {
    let caller = request.extensions().get::<Caller>().cloned().ok_or_else(auth::missing_key)?;
    let Some(key) = key(request.request(), caller.user())? else { return Ok(None) };
    let payload = request.take_payload();
    let body = body::collect(request.request(), payload).await?;
    let scopes: String = caller.scopes().iter().map(|scope| format!("{scope} ")).collect();
    let fingerprint = Fingerprint::of(&[scopes.as_bytes(), request.query_string().as_bytes(), &body]);
    request.set_payload(body.into());
    Ok(Some(Asked { key, user: caller.user().clone(), fingerprint }))
}

/// A request that was begun. Where nobody waits for it any more, it is given up.
struct InFlight {
    once: Once,
    idempotency: Idempotency,
    ended: bool,
}

impl InFlight {
    /// Keeps the answer, or gives the request up where there is none to keep. The answer goes out all the same.
    async fn end(mut self, reply: Option<Reply>) {
        let ended = match &reply {
            Some(reply) => self.idempotency.finish(&self.once, reply).await,
            None => self.idempotency.abandon(&self.once).await,
        };
        self.ended = true;
        if let Err(error) = ended {
            tracing::warn!(%error, "response could not be stored for its idempotency key");
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.ended, Handle::try_current()) {
            let (idempotency, once) = (self.idempotency.clone(), self.once.clone());
            runtime.spawn(async move {
                if let Err(error) = idempotency.abandon(&once).await {
                    tracing::warn!(%error, "idempotent request could not be given up");
                }
            });
        }
    }
}

/// The answer as it is kept; none where the request is done anew when it is sent again. What says when to come again
/// is not the last word, and what nobody may store is not stored here.
fn kept(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Option<Reply> {
    let decided = status.is_success() || matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT);
    let passes = headers.contains_key(RETRY_AFTER);
    let secret = headers.get(CACHE_CONTROL).is_some_and(|value| value.as_bytes() == b"no-store");
    if !decided || passes || secret || body.len() > Reply::BODY_MAX {
        return None;
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Some(Reply {
        status: status.as_u16(),
        content_type: text(CONTENT_TYPE),
        location: text(LOCATION),
        body: body.to_vec(),
    })
}

fn replay(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((REPLAYED, HeaderValue::from_static("true")));
    for (name, value) in [(CONTENT_TYPE, reply.content_type), (LOCATION, reply.location)] {
        if let Some(value) = value {
            response.insert_header((name, value));
        }
    }
    response.body(reply.body)
}
