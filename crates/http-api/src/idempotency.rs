//! Answers a repeated request with the first answer: `Idempotency-Key` on every POST and on the deletion of a server, after
//! draft-ietf-httpapi-idempotency-key-header and Stripe.
//!
//! The first request with a key is done. Its answer is kept where it is final: a success, or a refusal because of the
//! state (404, 409). A request that was refused for its form, its authority or its timing changed nothing, so the
//! caller may correct it and send it under the same key. The transaction that creates something notes the key
//! ([`Asking`]), so a retry finds it even if the process died before it answered.

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
/// Marks a repeated answer.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_MAX: usize = 255;
/// Bytes. Keys are stored with the path, and no resource has a longer one.
const PATH_MAX: usize = 512;
/// Seconds after which some of many keys have expired.
const TOO_MANY_S: u64 = 600;

/// The note under which the current request is done once. Every handler that creates something takes it.
pub(crate) struct Asking(Option<Once>);

impl Asking {
    /// Returns the note. `None` where the caller sent no key.
    pub(crate) fn once(&self) -> Option<&Once> {
        self.0.as_ref()
    }

    /// Notes the start of something that leaves no trace of its own, so that no retry starts it again.
    ///
    /// # Errors
    /// An earlier attempt started it, and nobody knows how far it got.
    pub(crate) async fn venture(&self, idempotency: &Idempotency, subject: i32) -> Result<(), Problem> {
        match self.once() {
            Some(once) if !idempotency.venture(once, subject).await? => Err(outcome_unknown()),
            _ => Ok(()),
        }
    }

    /// Removes the note because nothing happened, so a retry may start again.
    pub(crate) async fn withdraw(&self, idempotency: &Idempotency) {
        let Some(once) = self.once() else { return };
        if let Err(error) = idempotency.withdraw(once).await {
            tracing::warn!(%error, "note of a console command could not be removed");
        }
    }
}

fn outcome_unknown() -> Problem {
    let detail = "an earlier request with this Idempotency-Key was cut off before its answer, so nobody knows whether it was \
                  carried out, and it is not repeated; look at the console for a command, or at the schedule's runs for a \
                  run, and send the request under another key if it is missing";
    Problem::new(Code::OutcomeUnknown, detail)
}

impl FromRequest for Asking {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.extensions().get::<Once>().cloned())))
    }
}

/// Reads the header `Idempotency-Key`, and adds the caller and the route. Operations are stored under this key.
pub(crate) fn key(http: &HttpRequest, user: &UserId) -> Result<Option<Arc<str>>, Problem> {
    let mut values = http.headers().get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    let visible = |key: &&str| (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = value.to_str().ok().filter(visible).filter(|_| values.next().is_none()).ok_or_else(|| {
        let detail = format!("send the header Idempotency-Key once, with 1 to {KEY_MAX} visible ASCII characters");
        Problem::new(Code::InvalidIdempotencyKey, detail)
    })?;
    if http.path().len() > PATH_MAX {
        return Err(Problem::not_found("no such resource; the path is too long"));
    }
    // Neither a path nor a key contains a space.
    Ok(Some(format!("rest:{user}:{} {} {key}", http.method(), http.path()).into()))
}

/// Does a request with a key once, and repeats its answer. Runs behind the router, so a request to an unknown path is
/// not kept.
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
                "a request with this Idempotency-Key is still running, or was lost with its process; send it again in \
                 {seconds} s"
            );
            Err(Problem::new(Code::IdempotencyInFlight, detail).after(seconds))
        }
        Begun::Other => {
            let detail = "this Idempotency-Key belongs to another request: the body, the query, or the scopes of the API \
                          key differ; use a new one";
            Err(Problem::new(Code::IdempotencyKeyReused, detail))
        }
        Begun::TooMany => {
            let max = Idempotency::PER_USER;
            let detail = format!("{max} of your Idempotency-Keys are stored, each for a day; no more are accepted");
            Err(Problem::new(Code::TooManyIdempotencyKeys, detail).after(TOO_MANY_S))
        }
    }
}

/// Returns what identifies the request. `None` without a key. An answer may show what only its caller may see, so
/// another API key of the same user gets it only if it has the same scopes.
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

/// A request that was begun. Dropped before its end, it is abandoned.
struct InFlight {
    once: Once,
    idempotency: Idempotency,
    ended: bool,
}

impl InFlight {
    /// Keeps the answer, or abandons the request where no answer may be kept. The caller gets the answer in any case.
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

/// Returns the answer to keep. `None` where a retry must be done anew: an answer with `Retry-After` is not final, and
/// one with `no-store` must not be stored.
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
