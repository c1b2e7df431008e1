use std::time::{Duration, Instant};

use agis_discord_stand_in::{APPLICATION, CHANNEL, Discord, Schema};
use serde_json::{Value, json};
use twilight_model::id::Id;

use crate::bot::{Bot, commands};

/// The document, or a word on stderr that there is none.
fn schema() -> Option<Schema> {
    let schema = Schema::load();
    if schema.is_none() {
        #[expect(clippy::print_stderr, reason = "whoever runs the tests has to know")]
        {
            eprintln!("Discord's OpenAPI document is not there (DISCORD_OPENAPI): nothing is held against it");
        }
    }
    schema
}

fn complaints(schema: &Schema, method: &str, path: &str, body: &Value) -> Vec<String> {
    schema.check(method, path, "", Some(body))
}

const CALLBACK: &str = "/interactions/1/token/callback";
const MESSAGES: &str = "/channels/1/messages";

fn register() -> String {
    format!("/applications/{APPLICATION}/commands")
}

#[test]
fn the_document_accepts_what_is_right() {
    let Some(schema) = schema() else { return };
    let choices: Vec<_> = (0..25).map(|number| json!({"name": "a", "value": number.to_string()})).collect();
    let button = |number: u32| json!({"type": 2, "style": 1, "label": "b", "custom_id": number.to_string()});
    let row = json!({"type": 1, "components": (0..5).map(button).collect::<Vec<_>>()});
    let right = [
        ("PUT", register(), commands()),
        ("POST", CALLBACK.to_owned(), json!({"type": 4, "data": {"content": "a", "flags": 64}})),
        ("POST", CALLBACK.to_owned(), json!({"type": 5})),
        ("POST", CALLBACK.to_owned(), json!({"type": 8, "data": {"choices": choices}})),
        (
            "POST",
            MESSAGES.to_owned(),
            json!({"content": "a", "components": [row], "nonce": "1", "enforce_nonce": true}),
        ),
        ("PATCH", "/webhooks/1/token/messages/@original".to_owned(), json!({"content": "a"})),
        ("POST", "/users/@me/channels".to_owned(), json!({"recipient_id": "1"})),
    ];
    for (method, path, body) in right {
        assert_eq!(complaints(&schema, method, &path, &body), [""; 0], "{method} {path} {body}");
    }
    assert_eq!(schema.check("GET", "/gateway/bot", "", None), [""; 0]);
}

#[test]
fn document_refuses_and_names_mistakes() {
    let Some(schema) = schema() else { return };
    let choices: Vec<_> = (0..26).map(|number| json!({"name": "a", "value": number.to_string()})).collect();
    let buttons: Vec<_> =
        (0..6).map(|number| json!({"type": 2, "style": 1, "custom_id": number.to_string()})).collect();
    let command = |name: &str, description: &str| json!([{"name": name, "description": description}]);
    let wrong = [
        ("PUT", register(), command(&"a".repeat(33), "d"), "/0/name"),
        ("PUT", register(), command("a", &"d".repeat(101)), "/0/description"),
        ("PUT", register(), json!([{"description": "d"}]), "name"),
        ("POST", CALLBACK.to_owned(), json!({"type": 8, "data": {"choices": choices}}), "/data/choices"),
        ("POST", CALLBACK.to_owned(), json!({"type": 4, "data": {"content": "a".repeat(2001)}}), "/data/content"),
        (
            "POST",
            MESSAGES.to_owned(),
            json!({"components": [{"type": 1, "components": buttons}]}),
            "/components/0/components",
        ),
        ("POST", "/users/@me/channels".to_owned(), json!({"recipient_id": 1}), "/recipient_id"),
        ("POST", "/nowhere".to_owned(), json!({}), "no operation"),
    ];
    for (method, path, body, named) in wrong {
        let complaints = complaints(&schema, method, &path, &body);
        assert!(complaints.iter().any(|complaint| complaint.contains(named)), "{named}: {complaints:?}");
    }
    assert_eq!(schema.check("POST", "/users/@me/channels", "", None), ["a body is missing"]);
    assert_eq!(schema.check("GET", "/gateway/bot", "a=1", None), ["there is no parameter `a`"]);
}

#[tokio::test]
async fn refusal_is_recorded_with_its_reason() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let field = json!({"name": "a", "value": "b".repeat(1024)});
    let error = bot.send(CHANNEL, &json!({"embeds": [{"fields": vec![field; 6]}]})).await.expect_err("refused");
    assert!(format!("{error:?}").contains("50035"), "{error:?}");
    let error = bot.send(CHANNEL, &json!({"content": ""})).await.expect_err("refused");
    assert!(format!("{error:?}").contains("50006"), "{error:?}");
    let complaints = discord.complaints();
    let [long, empty] = &complaints[..] else { panic!("{complaints:?}") };
    assert!(long.contains("more than 6000 characters") && empty.contains("empty"), "{complaints:?}");
    assert_eq!(discord.requests_to("POST /channels/")[0].complaints.len(), 1);
    assert_eq!(discord.messages(CHANNEL), []);
}

#[tokio::test]
async fn errors_come_as_often_as_they_are_ordered() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    discord.fail_next("GET /users/@me", 1, 500);
    assert!(bot.http.current_user().await.is_err());
    assert!(bot.http.current_user().await.is_ok());
    let requests = discord.requests_to("GET /users/@me");
    assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [500, 200]);
}

#[tokio::test]
async fn a_limit_holds_for_as_long_as_it_says() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let started = Instant::now();
    discord.limit_next("POST /channels/", Duration::from_millis(700));
    bot.http.create_message(Id::new(CHANNEL)).content("late").await.expect("sent in the end");
    assert!(started.elapsed() >= Duration::from_millis(700));
    let statuses: Vec<_> = discord.requests_to("POST /channels/").iter().map(|request| request.status).collect();
    assert_eq!((statuses.first(), statuses.last()), (Some(&429), Some(&200)));
    assert_eq!(discord.messages(CHANNEL).len(), 1);
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn enforced_nonce_is_sent_once() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let once = json!({"content": "once", "nonce": "7", "enforce_nonce": true});
    for _ in 0..2 {
        bot.send(CHANNEL, &once).await.expect("sent");
    }
    assert_eq!(discord.messages(CHANNEL).len(), 1);
    // Without `enforce_nonce` it is only a word.
    bot.send(CHANNEL, &json!({"content": "twice", "nonce": "7"})).await.expect("sent");
    assert_eq!(discord.messages(CHANNEL).len(), 2);
}

#[tokio::test]
async fn gone_channels_and_closed_people_differ() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let ann = discord.person(101, "Ann");
    let dm = bot.http.create_private_channel(Id::new(101)).await.expect("a channel").model().await.expect("a channel");
    bot.http.create_message(dm.id).content("hello").await.expect("sent");
    assert_eq!(discord.dms(101).len(), 1);
    discord.set_dms_closed(&ann, true);
    discord.channel(9, "doomed");
    discord.delete_channel(9);
    discord.set_forbidden(CHANNEL, true);
    for (channel, code) in [(dm.id.get(), "50007"), (9, "10003"), (CHANNEL, "50013")] {
        let error = bot.http.create_message(Id::new(channel)).content("a").await.expect_err("refused");
        assert!(format!("{error:?}").contains(code), "{code}: {error:?}");
    }
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn interaction_is_answered_once_in_time() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let ann = discord.person(101, "Ann");
    let reply = discord.command(&ann, "/slow").await;
    reply.until("the follow-up", |message| message.content == "and more").await;
    let token = bot.heard()[0].token.clone();
    discord.expire_interactions();
    let error = bot.interactions().create_followup(&token).content("too late").await.expect_err("expired");
    assert!(format!("{error:?}").contains("50027"), "{error:?}");

    let silent = discord.command(&ann, "/silent").await;
    let token = bot.heard()[1].token.clone();
    let error = bot.interactions().create_followup(&token).content("never answered").await.expect_err("unanswered");
    assert!(format!("{error:?}").contains("10015"), "{error:?}");
    assert!(silent.late());
}
