//! Identifies the caller of a request and takes a token of their limit. A handler names the scope that it needs in its
//! signature, so none can forget to ask for it.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
    net::IpAddr,
    ops::Deref,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, HeaderMap},
    middleware::Next,
    web::Data,
};
use agis_apikeys::{ApiKey, Digest, Key, Permission, Scopes, service::AuthError};
use agis_base::{KeyId, Reach, ServerId, UserId};
use agis_ratelimit::{Bucket, Decision, Quota};
use chrono::Utc;
use tracing::Instrument;

use crate::{
    client, current,
    legacy::LegacyCaller,
    limit::{self, Whose},
    path,
    problem::{Code, Problem},
    services::Services,
};

/// A caller who is known and within their limit.
#[derive(Clone)]
pub(crate) struct Caller(Rc<Known>);

enum Known {
    Key(Arc<ApiKey>),
    Legacy(LegacyCaller),
}

impl Caller {
    pub(crate) fn user(&self) -> &UserId {
        match &*self.0 {
            Known::Key(key) => &key.owner,
            Known::Legacy(caller) => &caller.user,
        }
    }

    /// Returns the id of the key that they sent. `None` with a legacy token.
    pub(crate) fn key_id(&self) -> Option<KeyId> {
        match &*self.0 {
            Known::Key(key) => Some(key.id),
            Known::Legacy(_) => None,
        }
    }

    /// Returns the scopes of the key or the token.
    pub(crate) fn scopes(&self) -> &Scopes {
        match &*self.0 {
            Known::Key(key) => &key.grant.scopes,
            Known::Legacy(caller) => &caller.scopes,
        }
    }

    /// Refuses a caller whose key lacks a further permission, or enough reach of it, which a part of the request needs.
    pub(crate) fn needs<S: Needed>(&self, is_enough: impl FnOnce(&Reach) -> bool) -> Result<(), Problem> {
        let reach = S::ANY_OF.iter().filter_map(|permission| self.scopes().reach(*permission)).reduce(Reach::or);
        if reach.is_some_and(|reach| is_enough(&reach)) { Ok(()) } else { Err(missing_scope(S::ANY_OF)) }
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(missing_key))
    }
}

pub(crate) fn missing_key() -> Problem {
    let detail = "send an API key in the header 'Authorization: Bearer agis_…'";
    Problem::new(Code::MissingKey, detail)
}

/// The permissions of which a handler needs one, as a type.
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
scopes! { ReadServers WriteServers ReadSchedules WriteSchedules ReadKeys WriteKeys ReadHosts }

/// A caller who may see a server may see its schedules too.
pub(crate) struct ReadSchedulesOfServer;
impl Needed for ReadSchedulesOfServer {
    const ANY_OF: &[Permission] = &[Permission::ReadServers, Permission::ReadSchedules];
}

/// The servers on which the caller must have the permission, as a type.
pub(crate) trait Where: 'static {
    /// The server that the path names. `()` where the path need not name one.
    type Place;

    fn place(request: &HttpRequest) -> Result<Self::Place, Problem>;

    /// Tells whether `reach` is enough for `place`.
    fn will_do(reach: &Reach, place: &Self::Place) -> bool;
}

/// Every server of the caller. The default, so that a key for one server opens nothing by mistake.
pub(crate) struct Everywhere;
impl Where for Everywhere {
    type Place = ();

    fn place(_: &HttpRequest) -> Result<(), Problem> {
        Ok(())
    }

    fn will_do(reach: &Reach, (): &()) -> bool {
        *reach == Reach::Every
    }
}

/// The server whose id is in the path. The handler reads it from [`May::server`], so it uses the id that was checked.
pub(crate) struct Here;
impl Where for Here {
    type Place = ServerId;

    fn place(request: &HttpRequest) -> Result<ServerId, Problem> {
        path::id(request)
    }

    fn will_do(reach: &Reach, server: &ServerId) -> bool {
        reach.covers(*server)
    }
}

/// At least one server. The handler compares [`May::reach`] with the server, once it knows which one that is.
pub(crate) struct Somewhere;
impl Where for Somewhere {
    type Place = ();

    fn place(_: &HttpRequest) -> Result<(), Problem> {
        Ok(())
    }

    fn will_do(_: &Reach, (): &()) -> bool {
        true
    }
}

/// A caller whose key has the permission `S` on the servers `W`.
pub(crate) struct May<S, W: Where = Everywhere> {
    caller: Caller,
    reach: Reach,
    place: W::Place,
    asked: PhantomData<(S, W)>,
}

impl<S, W: Where> Deref for May<S, W> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<S: Needed> May<S, Somewhere> {
    /// Returns the servers on which the caller has the permission.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Refuses a caller whose reach has a limit.
    pub(crate) fn reaches_all(&self) -> Result<(), Problem> {
        if self.reach == Reach::Every { Ok(()) } else { Err(missing_scope(S::ANY_OF)) }
    }

    /// Refuses a server beyond the caller's reach.
    pub(crate) fn reaches(&self, server: ServerId) -> Result<(), Problem> {
        if self.reach.covers(server) { Ok(()) } else { Err(missing_scope(S::ANY_OF)) }
    }
}

impl<S: Needed> May<S, Here> {
    /// Returns the server that the path names.
    pub(crate) fn server(&self) -> ServerId {
        self.place
    }
}

impl<S: Needed, W: Where> FromRequest for May<S, W> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        ready(caller.and_then(|caller| {
            let scopes = caller.scopes();
            let reach = S::ANY_OF.iter().filter_map(|permission| scopes.reach(*permission)).reduce(Reach::or);
            let reach = reach.ok_or_else(|| missing_scope(S::ANY_OF))?;
            let place = W::place(request)?;
            if W::will_do(&reach, &place) {
                Ok(Self { caller, reach, place, asked: PhantomData })
            } else {
                Err(missing_scope(S::ANY_OF))
            }
        }))
    }
}

fn missing_scope(any_of: &[Permission]) -> Problem {
    let scopes: Vec<_> = any_of.iter().map(|scope| format!("'{scope}'")).collect();
    let why = match any_of {
        [Permission::ReadHosts] => {
            "which '*' does not include: an operator makes a key with 'agis-api keys create --scope read:hosts'"
        }
        _ => "or has it for other servers only",
    };
    let detail = format!("your API key lacks the scope {}, {why}", scopes.join(" or "));
    Problem::new(Code::MissingScope, detail)
}

/// Permissions that the arguments of a handler ask for. The first argument of a routed handler must be a caller.
pub(crate) trait Asks {
    /// The caller needs one of these. Empty where any valid key is enough.
    const ANY_OF: &'static [Permission];
}

impl Asks for Caller {
    const ANY_OF: &'static [Permission] = &[];
}

impl<S: Needed, W: Where> Asks for May<S, W> {
    const ANY_OF: &'static [Permission] = S::ANY_OF;
}

macro_rules! arguments {
    ($($rest:ident)*) => {
        impl<First: Asks, $($rest),*> Asks for (First, $($rest,)*) {
            const ANY_OF: &'static [Permission] = First::ANY_OF;
        }
    };
}
arguments! {}
arguments! { B }
arguments! { B C }
arguments! { B C D }
arguments! { B C D E }
arguments! { B C D E F }

/// Latest decision about a request that takes more than one token.
#[derive(Clone, Copy)]
struct Charged(Decision, Whose);

/// Takes further tokens for a request that costs `tokens` in all: all of them, or none.
///
/// # Errors
/// Fails if one of the caller's buckets has not so many left.
pub(crate) async fn charge(
    caller: &Caller,
    services: &Services,
    http: &HttpRequest,
    tokens: u32,
) -> Result<(), Problem> {
    // The smallest bucket, when it is full, is enough for everything.
    let smallest = match &*caller.0 {
        Known::Legacy(caller) => caller.quota.limit(),
        Known::Key(key) => key.worth().rate_limit,
    };
    let tokens = tokens.min(smallest);
    let Some(further) = tokens.checked_sub(1).filter(|further| *further > 0) else { return Ok(()) };
    let (decision, whose) = decide(services, &caller.0, further).await;
    http.extensions_mut().insert(Charged(decision, whose));
    if decision.allowed { Ok(()) } else { Err(limit::exceeded(&decision, whose, tokens)) }
}

/// Identifies the caller, takes a token, and adds the headers of the limit to every answer.
pub(crate) async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(services) = request.app_data::<Data<Services>>().cloned() else {
        return Ok(refused(request, &Problem::internal(&"the services are missing")));
    };
    let known = match identify(&services, &request).await {
        Ok(known) => known,
        Err(problem) => return Ok(refused(request, &problem)),
    };
    let legacy = matches!(known, Known::Legacy(_));
    let (decision, whose) = decide(&services, &known, 1).await;
    let mut response = if decision.allowed {
        request.extensions_mut().insert(Caller(Rc::new(known)));
        next.call(request).instrument(current::span()).await?.map_into_boxed_body()
    } else {
        refused(request, &limit::exceeded(&decision, whose, 1))
    };
    let charged = response.request().extensions().get::<Charged>().copied();
    let Charged(decision, whose) = charged.unwrap_or(Charged(decision, whose));
    limit::add_headers(response.headers_mut(), &decision, whose);
    if let Some(policy) = services.edge.legacy.as_ref().filter(|_| legacy) {
        policy.add_headers(response.headers_mut());
    }
    Ok(response)
}

/// Takes so many tokens from each bucket that the caller draws on; usually there is one.
async fn decide(services: &Services, known: &Known, tokens: u32) -> (Decision, Whose) {
    let of_key = |bucket: i32, limit| (Bucket { kind: "key", id: bucket.into() }, Quota::per_hour(limit).times(tokens));
    let (bucket, quota) = match known {
        Known::Legacy(caller) => (caller.bucket(), caller.quota.times(tokens)),
        Known::Key(key) if key.makers.is_empty() => of_key(key.bucket, key.grant.rate_limit),
        Known::Key(key) => {
            let draws: Vec<_> = key.draws().map(|it| of_key(it.bucket, it.limit)).collect();
            let verdict = services.limiter.take_all(&draws).await;
            let is_own = verdict.by == 0 && !key.shares_its_bucket();
            return (verdict.decision, if is_own { Whose::Key } else { Whose::Maker });
        }
    };
    (services.limiter.take(bucket, quota).await, Whose::Key)
}

/// Identifies the caller. A malformed key and a cached one need no database. All others are looked up together
/// (`KeyStore::find_by_digest`), so invalid keys only take a place in one shared query and never keep a valid key out.
async fn identify(services: &Services, request: &ServiceRequest) -> Result<Known, Problem> {
    let text = presented(request.headers()).ok_or_else(missing_key)?;
    let known = match (Key::parse(text), services.edge.legacy_token(text, request.headers())) {
        (Ok(key), _) => {
            let from = client::address(request, &services.edge.trusted_proxies);
            by_key(services, key.digest(), from).await
        }
        (Err(_), Some(token)) => token.redeem(&services.accounts).await.map(Known::Legacy),
        (Err(malformed), None) => Err(malformed.into()),
    };
    known.map_err(|error| {
        let problem = Problem::from(error);
        // A failure of this program is not counted.
        if !problem.status_code().is_server_error() {
            metrics::counter!("agis_bot_key_failures_total", "reason" => problem.code().as_str()).increment(1);
        }
        problem
    })
}

async fn by_key(services: &Services, digest: Digest, from: Option<IpAddr>) -> Result<Known, AuthError> {
    let key = match services.keys.cached(digest) {
        Ok(key) => key,
        Err(ticket) => services.keys.look_up(ticket, digest).instrument(current::span()).await?,
    };
    services.keys.admit(&key, from, Utc::now())?;
    Ok(Known::Key(key))
}

/// Returns the credentials of the header `Authorization`. The scheme's name has no case (RFC 6750).
pub(crate) fn presented(headers: &HeaderMap) -> Option<&str> {
    let text = str::from_utf8(headers.get(AUTHORIZATION)?.as_bytes()).ok().filter(|text| text.is_ascii())?;
    let (scheme, credentials) = text.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case("Bearer ").then_some(credentials.trim())
}

fn refused(request: ServiceRequest, problem: &Problem) -> ServiceResponse {
    let answer: HttpResponse = problem.error_response();
    request.into_response(answer)
}
