//! The page on which a person tries the bot by hand, and what it asks for.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Html, Json, Query, ServiceConfig};
use serde_json::{Value, json};

use crate::interaction::shown;
use crate::state::State;
use crate::{CHANNEL, Discord, GUILD, Message, Person, Refusal, Reply};

const PAGE: &str = include_str!("page.html");
/// How long the page waits for something to change before it asks again.
const POLL: Duration = Duration::from_secs(20);

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/", web::get().to(async || Html::new(PAGE)))
        .route("/standin/state", web::get().to(state))
        .route("/standin/command", web::post().to(command))
        .route("/standin/autocomplete", web::post().to(autocomplete))
        .route("/standin/press", web::post().to(press))
        .route("/standin/member", web::post().to(member));
}

/// Returns the view of a person, as soon as it differs from the page's.
async fn state(discord: Data<Discord>, query: Query<Vec<(String, String)>>) -> HttpResponse {
    let number = |name: &str| {
        let value = query.iter().find(|(other, _)| other == name);
        value.and_then(|(_, value)| value.parse::<u64>().ok()).unwrap_or_default()
    };
    let (seen, user, dm) = (number("since"), number("user"), number("dm") == 1);
    discord.hub.wait(POLL, |hub| (hub.version() != seen).then_some(())).await;
    let version = discord.hub.version();
    let mut view = discord.hub.look(|state| view(state, user, dm));
    view["version"] = json!(version);
    view["schema"] = json!(discord.schema().is_some());
    HttpResponse::Ok().json(view)
}

fn view(state: &State, user: u64, dm: bool) -> Value {
    let channel = if dm { state.world.dm(user) } else { Some(CHANNEL) };
    let here = |message: &&Message| Some(message.channel) == channel && message.is_shown_to(user);
    let guild = state.world.guilds.get(&GUILD);
    let members = guild.into_iter().flat_map(|guild| &guild.members);
    let people = members.map(|(id, member)| {
        json!({
            "id": id.to_string(),
            "name": state.world.users.get(id),
            "admin": member.admin,
            "roles": member.roles.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    let roles = guild.into_iter().flat_map(|guild| &guild.roles);
    json!({
        "connected": state.gateway.is_connected(),
        "people": people.collect::<Vec<_>>(),
        "roles": roles.map(|(id, name)| json!({"id": id.to_string(), "name": name})).collect::<Vec<_>>(),
        "channels": [{"id": CHANNEL.to_string(), "name": "general"}],
        "commands": shown(state, user, (!dm).then_some(GUILD)),
        "messages": state.messages.iter().filter(here).map(|message| seen(state, message)).collect::<Vec<_>>(),
        "complaints": state.complaints,
    })
}

fn seen(state: &State, message: &Message) -> Value {
    let mut json = message.json();
    json["asked_by"] = json!(message.asked_by.and_then(|user| state.world.users.get(&user)));
    json
}

async fn command(discord: Data<Discord>, body: Json<Value>) -> HttpResponse {
    let reply = async { discord.try_command(&person(&discord, &body)?, text(&body["line"])).await };
    outcome(reply.await)
}

async fn press(discord: Data<Discord>, body: Json<Value>) -> HttpResponse {
    let reply = async {
        let (message, control) = (number(&body["message"]), text(&body["control"]));
        let values: Vec<_> = body["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        discord.try_choose(&person(&discord, &body)?, message, control, &values).await
    };
    outcome(reply.await)
}

async fn autocomplete(discord: Data<Discord>, body: Json<Value>) -> HttpResponse {
    let choices = async { discord.try_autocomplete(&person(&discord, &body)?, text(&body["line"])).await };
    match choices.await {
        Ok(choices) => HttpResponse::Ok().json(choices.into_iter().map(|choice| choice.name).collect::<Vec<_>>()),
        Err(refusal) => refused(&refusal),
    }
}

/// Gives or takes a role, or the administrator's rights.
async fn member(discord: Data<Discord>, body: Json<Value>) -> HttpResponse {
    let person = match person(&discord, &body) {
        Ok(person) => person,
        Err(refusal) => return refused(&refusal),
    };
    let has = body["has"] == true;
    match (&body["role"], has) {
        (Value::Null, _) => discord.set_admin(&person, has),
        (role, true) => discord.give_role(&person, number(role)),
        (role, false) => discord.take_role(&person, number(role)),
    }
    HttpResponse::NoContent().finish()
}

fn person(discord: &Discord, body: &Value) -> Result<Person, Refusal> {
    let id = number(&body["user"]);
    let name = discord.hub.look(|state| state.world.users.get(&id).cloned());
    let name = name.ok_or_else(|| Refusal::new("nobody has this id"))?;
    let channel = (body["dm"] != true).then_some(CHANNEL);
    Ok(Person { id, name, channel })
}

fn outcome(reply: Result<Reply, Refusal>) -> HttpResponse {
    match reply {
        Ok(reply) if reply.kind().is_none() => refused(&Refusal::new("The application did not respond")),
        Ok(_) => HttpResponse::NoContent().finish(),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> HttpResponse {
    HttpResponse::UnprocessableEntity().json(json!({"message": refusal.to_string()}))
}

fn number(value: &Value) -> u64 {
    text(value).parse().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
