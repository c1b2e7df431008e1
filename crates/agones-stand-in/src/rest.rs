//! The API server: every request is recorded, meets the faults that are ordered, and is answered from the store.

mod allocate;
mod answer;
mod change;
mod discovery;
mod logs;
mod read;
mod target;
mod watch;

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Bytes, Data, PayloadConfig, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::Value;

use self::answer::Answer;
use self::target::Target;
use crate::faults::Fault;
use crate::hub::Hub;
use crate::state::World;
use crate::status::{Result, Status};
use crate::{Cluster, FENCES, NAMESPACE, Request};

/// Maximum size of a body: an API server's, and a little more.
const LARGEST: usize = 4 << 20;

pub(crate) fn serve(listener: TcpListener, cluster: Cluster) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(cluster.clone()))
            .app_data(PayloadConfig::new(LARGEST))
            .default_service(web::to(answer))
    });
    // An API server does not end a connection that is idle for a moment, nor one that a busy test is slow to use.
    let server = server.keep_alive(Duration::from_secs(75)).client_request_timeout(Duration::ZERO);
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

/// A request, taken apart.
#[derive(Debug)]
struct Call {
    record: Request,
    parameters: HashMap<String, String>,
    media_type: String,
    bytes: Bytes,
}

impl Call {
    fn read(request: &HttpRequest, bytes: Bytes) -> Self {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let record = Request {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            query: request.query_string().to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            status: 0,
        };
        let parameters = Query::from_query(request.query_string()).map(Query::into_inner).unwrap_or_default();
        Self { record, parameters, media_type, bytes }
    }

    fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    fn asks(&self, name: &str) -> bool {
        matches!(self.parameter(name), "true" | "1")
    }

    /// A number in the query; 0 where it is missing.
    fn number(&self, name: &str) -> Result<u64> {
        let text = self.parameter(name);
        let invalid = |_| Status::bad_request(format!("invalid {name}: {text:?} is no number"));
        if text.is_empty() { Ok(0) } else { text.parse().map_err(invalid) }
    }

    /// The object that was sent.
    fn object(&self) -> Result<Value> {
        if !matches!(self.media_type.as_str(), "application/json" | "") {
            let what = &self.media_type;
            return Err(Status::unsupported_media(format!("the body of the request was in an unknown format: {what}")));
        }
        serde_json::from_slice(&self.bytes)
            .map_err(|error| Status::bad_request(format!("couldn't read the body: {error}")))
    }

    fn is_strict(&self) -> bool {
        self.parameter("fieldValidation") == "Strict"
    }

    /// `get`, `list` and so on.
    fn verb(&self, named: bool) -> &'static str {
        match (self.record.method.as_str(), named) {
            ("GET", _) if self.asks("watch") => "watch",
            ("GET", true) => "get",
            ("GET", false) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => "",
        }
    }
}

async fn answer(request: HttpRequest, bytes: Bytes, cluster: Data<Cluster>) -> HttpResponse {
    let (hub, call) = (&cluster.hub, Call::read(&request, bytes));
    let fault = hub.quietly(|world| world.faults.meet(&call.record.line()));
    match fault {
        Some(Fault::Status(code)) => {
            hub.change(|world| world.record(Request { status: code, ..call.record.clone() }));
            return Answer::from(Status::unwell(code)).into_response();
        }
        Some(Fault::Cut) => {
            hub.change(|world| world.record(call.record.clone()));
            return answer::cut();
        }
        Some(Fault::Hang) => {
            hub.change(|world| world.record(call.record.clone()));
            hang(hub).await;
            return answer::cut();
        }
        Some(Fault::LoseReply) | None => {}
    }
    let answer = hub.change(|world| {
        let answer = decide(world, hub, &call).unwrap_or_else(Answer::from);
        world.record(Request { status: answer.code(), ..call.record.clone() });
        answer
    });
    if fault.is_some() { answer::cut() } else { answer.into_response() }
}

async fn hang(hub: &Hub) {
    let recoveries = |world: &World| world.faults.recoveries;
    let (mut changes, before) = (hub.listen(), hub.look(recoveries));
    while hub.look(recoveries) == before && changes.changed().await.is_ok() {}
}

fn decide(world: &mut World, hub: &Arc<Hub>, call: &Call) -> Result<Answer> {
    if let Some(found) = discovery::answer(&call.record.path) {
        return Ok(Answer::json(200, found));
    }
    let target = Target::of(&call.record.path)?;
    let (resource, name) = target.resource();
    let verb = call.verb(name.is_some());
    allow(world, &resource, verb, &target)?;
    let namespace = target.namespace().unwrap_or_default();
    world.within(namespace, |world| perform(world, hub, call, (&target, verb)))
}

fn perform(world: &mut World, hub: &Arc<Hub>, call: &Call, (target, verb): (&Target, &str)) -> Result<Answer> {
    // A dry run does all, and then nothing of it was done.
    let is_dry = call.parameter("dryRun") == "All" || !call.record.body["dryRun"].is_null();
    let saved = is_dry.then(|| world.store.clone());
    let answer = act(world, hub, call, (target, verb));
    if let Some(saved) = saved {
        world.store = saved;
    }
    answer
}

fn act(world: &mut World, hub: &Arc<Hub>, call: &Call, (target, verb): (&Target, &str)) -> Result<Answer> {
    match (target, verb) {
        (Target::Health, "list") => Ok(Answer::text("ok")),
        (Target::Objects { kind, name: None, .. }, "list") => read::list(world, call, *kind),
        (Target::Objects { kind, name: None, .. }, "watch") => watch::open(world, hub, call, *kind),
        (Target::Objects { kind, name: Some(name), .. }, "get") => read::get(world, *kind, name),
        (Target::Objects { kind, name: None, .. }, "create") => change::create(world, hub, call, *kind),
        (Target::Objects { kind, name: Some(name), .. }, "update") => {
            change::replace(world, hub, call, (*kind, name.as_str()))
        }
        (Target::Objects { kind, name: Some(name), .. }, "patch") => {
            change::patch(world, hub, call, (*kind, name.as_str()))
        }
        (Target::Objects { kind, name: Some(name), .. }, "delete") => change::delete(world, call, *kind, name),
        (Target::Log { pod, .. }, "get") => logs::answer(world, hub, call, pod),
        (Target::Allocations { .. }, "create") => allocate::answer(world, call),
        _ => {
            Err(Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource"))
        }
    }
}

/// Forbids other namespaces and anything beyond the role: there is no ClusterRole.
fn allow(world: &World, resource: &str, verb: &str, target: &Target) -> Result<()> {
    let Some(namespace) = target.namespace() else { return Ok(()) };
    let is_watch = namespace == FENCES && verb == "watch";
    let by_role = |role: &Vec<(String, Vec<String>)>| {
        role.iter().any(|(of, verbs)| of == resource && verbs.iter().any(|one| one == verb))
    };
    let is_there = [NAMESPACE, FENCES].contains(&namespace) && !is_watch;
    if is_there && world.knobs.roles.get(namespace).is_none_or(by_role) {
        return Ok(());
    }
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let who = "User \"system:serviceaccount:agis:agis-api\" cannot";
    let words = format!("{resource} is forbidden: {who} {verb} resource {resource:?} in API group {group:?} {place}");
    Err(Status::new(403, "Forbidden", words))
}
