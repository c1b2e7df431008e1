//! The REST API: every request is recorded, held against the rules, and answered from the state.

mod answer;
mod body;
mod commands;
mod interactions;
mod lookups;
mod messages;
mod webhooks;

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use actix_web::dev::Server;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{self, Bytes, Data, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::Value;

use self::answer::Answer;
use crate::hub::{Hub, TOKEN};
use crate::state::{State, keep};
use crate::{Discord, Request, page, rules};

/// Maximum size that Discord accepts with files; a request without files is far smaller.
const LARGEST: usize = 25 << 20;
const BASE: &str = "/api/v10";

pub(crate) fn serve(listener: TcpListener, discord: Discord) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(discord.clone()))
            .app_data(PayloadConfig::new(LARGEST))
            .configure(page::routes)
            .default_service(web::to(answer))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

/// A request, taken apart.
#[derive(Debug)]
struct Call {
    method: String,
    path: String,
    query: String,
    body: Option<Value>,
    /// `None` where it names no token.
    authorization: Option<String>,
}

impl Call {
    fn read(request: &HttpRequest, bytes: &Bytes) -> Result<Self, Answer> {
        let path = request.path();
        let Some(short) = path.strip_prefix(BASE) else {
            return Err(Answer::unknown(format!("{} {path} is not under {BASE}", request.method())));
        };
        let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        Ok(Self {
            method: request.method().to_string(),
            path: short.to_owned(),
            query: request.query_string().to_owned(),
            body: body::read(request.headers(), bytes)?,
            authorization: authorization.map(ToOwned::to_owned),
        })
    }

    fn parts(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    fn body(&self) -> &Value {
        self.body.as_ref().unwrap_or(&Value::Null)
    }

    fn asks(&self, parameter: &str) -> bool {
        self.query.split('&').any(|pair| pair.strip_prefix(parameter) == Some("=true"))
    }

    /// Finds faults of the request that do not depend on the state.
    fn complaints(&self, hub: &Hub) -> Vec<String> {
        let schema = hub.facts.schema.as_ref();
        let by_schema = schema.map(|schema| schema.check(&self.method, &self.path, &self.query, self.body.as_ref()));
        by_schema.unwrap_or_default().into_iter().chain(self.broken_rules()).collect()
    }

    fn broken_rules(&self) -> Vec<String> {
        let body = self.body();
        match (self.method.as_str(), &self.parts()[..]) {
            ("POST", ["interactions", ..]) if body["type"] == 8 => rules::choices(&body["data"]),
            ("POST", ["interactions", ..]) => rules::message(&body["data"]),
            ("POST" | "PATCH", ["webhooks", ..] | ["channels", _, "messages", ..]) => rules::message(body),
            ("PUT", ["applications", .., "commands"]) => rules::commands(body.as_array().map_or(&[], Vec::as_slice)),
            ("POST", ["applications", .., "commands"]) => rules::commands(std::slice::from_ref(body)),
            _ => Vec::new(),
        }
    }

    /// Interactions are answered by their own token; everything else needs the bot's.
    fn is_allowed(&self, state: &State) -> bool {
        match (&self.authorization, self.parts().first()) {
            (None, first) => matches!(first, Some(&"interactions" | &"webhooks")),
            (Some(token), _) => token.strip_prefix("Bot ") == Some(TOKEN) && !state.faults.revoked,
        }
    }
}

async fn answer(request: HttpRequest, bytes: Bytes, discord: Data<Discord>) -> HttpResponse {
    let (hub, at) = (&discord.hub, Instant::now());
    let call = match Call::read(&request, &bytes) {
        Ok(call) => call,
        Err(answer) => {
            hub.change(|state| answer.complaints.iter().cloned().for_each(|complaint| state.complain(complaint)));
            return answer.into_response(request.path());
        }
    };
    let complaints = call.complaints(hub);
    let answer = hub.change(|state| {
        let answer = decide(state, hub, &call, complaints);
        let Call { method, path, body, .. } = &call;
        let named = answer.complaints.iter().map(|complaint| format!("{method} {path}: {complaint}"));
        named.for_each(|complaint| state.complain(complaint));
        let record = Request {
            at,
            method: method.clone(),
            path: path.clone(),
            body: body.clone().unwrap_or_default(),
            status: answer.status,
            complaints: answer.complaints.clone(),
        };
        keep(&mut state.requests, record);
        answer
    });
    answer.into_response(&call.path)
}

/// The answer, in the order in which Discord looks: limits, who it is, whether it is well-formed, what it asks.
fn decide(state: &mut State, hub: &Hub, call: &Call, complaints: Vec<String>) -> Answer {
    let name = format!("{} {}", call.method, call.path);
    if let Some(limited) = state.faults.limit(&name) {
        return Answer::limited(limited);
    }
    if let Some(status) = state.faults.error(&name) {
        return Answer::refused(status, 0, "as the test wants it");
    }
    if !call.is_allowed(state) {
        let answer = Answer::refused(401, 0, "401: Unauthorized");
        return if state.faults.revoked { answer } else { answer.because("the token is wrong".to_owned()) };
    }
    if !complaints.is_empty() {
        return Answer::invalid(complaints);
    }
    route(state, hub, call)
}

fn route(state: &mut State, hub: &Hub, call: &Call) -> Answer {
    match (call.method.as_str(), &call.parts()[..]) {
        ("POST", ["interactions", id, token, "callback"]) => interactions::callback(state, call, id, token),
        (method, ["webhooks", application, token, rest @ ..]) => {
            webhooks::answer(state, call, (method, application, token, rest))
        }
        (_, ["applications", application, "commands", rest @ ..]) if *application != "@me" => {
            commands::answer(state, call, application, None, rest)
        }
        (_, ["applications", application, "guilds", guild, "commands", rest @ ..]) => {
            commands::answer(state, call, application, Some(guild), rest)
        }
        (_, ["channels", channel, "messages", rest @ ..]) => messages::answer(state, call, channel, rest),
        ("POST", ["users", "@me", "channels"]) => lookups::open_dm(state, call.body()),
        ("GET", parts) => lookups::answer(state, hub, parts),
        (method, _) => Answer::unknown(format!("{method} {} is not in this stand-in", call.path)),
    }
}
