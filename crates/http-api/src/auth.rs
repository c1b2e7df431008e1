//! Who calls, and how often. The scope that a handler asks for stands in its signature, so none can forget to ask.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
    ops::Deref,
    rc::Rc,
    time::Duration,
};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};
use agis_apikeys::{ApiKey, Permission};
use agis_base::{Reach, ServerId, UserId};
use agis_ratelimit::{Bucket, Decision, Quota};
use chrono::Utc;

use crate::{problem::Problem, server::Services};

/// The caller, known by a valid key and within its limit.
#[derive(Clone)]
pub(crate) struct Caller(Rc<ApiKey>);

impl Caller {
    pub(crate) fn user(&self) -> &UserId {
        &self.0.owner
    }

    pub(crate) fn key(&self) -> &ApiKey {
        &self.0
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(Problem::missing_key))
    }
}

/// What a handler asks for, as a type: one of these permissions.
pub(crate) trait Needed: 'static {
    const ANY_OF: &[Permission];
}

macro_rules! scopes {
    ($($name:ident)+) => {
        $(pub(crate) struct $name;
        impl Needed for $name {
            const ANY_OF: &[Permission] = &[Permission::$name];
        })+
    };
}
scopes! { ReadServers WriteServers ReadSchedules WriteSchedules ReadKeys WriteKeys }

/// To see a server includes to see that server's schedules.
pub(crate) struct ReadSchedulesOfServer;
impl Needed for ReadSchedulesOfServer {
    const ANY_OF: &[Permission] = &[Permission::ReadServers, Permission::ReadSchedules];
}

/// On which servers the caller must have the permission, as a type.
pub(crate) trait Where: 'static {
    /// Whether this reach will do.
    fn will_do(reach: &Reach, request: &HttpRequest) -> bool;
}

/// On every server of their owner. What a handler gets where it says nothing else, so that a key for one server opens
/// nothing by mistake.
pub(crate) struct Everywhere;
impl Where for Everywhere {
    fn will_do(reach: &Reach, _: &HttpRequest) -> bool {
        *reach == Reach::Every
    }
}

/// On the server whose id is in the path.
pub(crate) struct Here;
impl Where for Here {
    fn will_do(reach: &Reach, request: &HttpRequest) -> bool {
        // A path without an id is no server's, and is told so where it is read.
        request.match_info().get("id").and_then(|id| id.parse().ok()).is_none_or(|id| reach.covers(id))
    }
}

/// On some. The handler looks at [`May::reach`] where it learns which server it is about.
pub(crate) struct Somewhere;
impl Where for Somewhere {
    fn will_do(_: &Reach, _: &HttpRequest) -> bool {
        true
    }
}

/// A caller whose key has this permission, there.
pub(crate) struct May<S, W = Everywhere> {
    caller: Caller,
    reach: Reach,
    asked: PhantomData<(S, W)>,
}

impl<S, W> Deref for May<S, W> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<S: Needed> May<S, Somewhere> {
    /// On which servers they have it.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Refuses what is about a server beyond their reach.
    pub(crate) fn reaches(&self, server: ServerId) -> Result<(), Problem> {
        if self.reach.covers(server) { Ok(()) } else { Err(Problem::missing_scope(S::ANY_OF)) }
    }
}

impl<S: Needed, W: Where> FromRequest for May<S, W> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        ready(caller.and_then(|caller| {
            let scopes = &caller.key().scopes;
            let reach = S::ANY_OF.iter().filter_map(|permission| scopes.reach(*permission)).reduce(Reach::or);
            match reach.filter(|reach| W::will_do(reach, request)) {
                Some(reach) => Ok(Self { caller, reach, asked: PhantomData }),
                None => Err(Problem::missing_scope(S::ANY_OF)),
            }
        }))
    }
}

/// Finds out who calls, takes a token, and puts the limit's headers on the answer, whatever it is.
pub(crate) async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(services) = request.app_data::<Data<Services>>().cloned() else {
        return Ok(refused(request, &Problem::internal(&"the services are missing")));
    };
    let key = match presented(request.headers()) {
        Some(presented) => services.keys.authenticate(presented, Utc::now()).await.map_err(Problem::from),
        None => Err(Problem::missing_key()),
    };
    let key = match key {
        Ok(key) => key,
        Err(problem) => return Ok(refused(request, &problem)),
    };
    let quota = Quota::per_hour(key.rate_limit);
    let decision = services.limiter.take(Bucket { kind: "key", id: key.id.0.into() }, quota).await;
    let mut response = if decision.allowed {
        request.extensions_mut().insert(Caller(Rc::new(key)));
        next.call(request).await?.map_into_boxed_body()
    } else {
        refused(request, &Problem::rate_limited(decision.limit, seconds_up(decision.retry_in)))
    };
    add_headers(response.headers_mut(), &decision);
    Ok(response)
}

/// RFC 6750: the scheme's name has no case.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(credentials.trim())
}

fn refused(request: ServiceRequest, problem: &Problem) -> ServiceResponse {
    let answer: HttpResponse = problem.error_response();
    request.into_response(answer)
}

/// `X-RateLimit-*` as they are widely known, and `RateLimit`, `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.
fn add_headers(headers: &mut HeaderMap, decision: &Decision) {
    let Decision { limit, remaining, full_in, .. } = decision;
    let reset = Utc::now().timestamp().saturating_add_unsigned(seconds_up(*full_in));
    let values = [
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
        ("ratelimit-policy", format!("\"key\";q={limit};w=3600")),
        ("ratelimit", format!("\"key\";r={remaining};t={}", seconds_up(*full_in))),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Whole seconds, so that a caller who waits for them is not too early.
fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
