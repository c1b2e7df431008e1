//! `/apikey`

use crate::scene::Scene;

/// The key in a text that shows one.
fn key_in(text: &str) -> &str {
    let begin = text.find("agis_").unwrap_or_else(|| panic!("no key in:\n{text}"));
    text[begin..].split_whitespace().next().expect("a key")
}

#[tokio::test]
async fn key_is_shown_once_and_opens_rest() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    let none = scene.look(&ann, "/apikey list").await;
    assert!(none.contains("`/apikey create` makes one"), "{none}");

    let made = scene.look(&ann, "/apikey create name:backup days:30").await;
    let key = key_in(&made).to_owned();
    assert!(made.contains("Your key backup") && made.contains("cannot be shown again"), "{made}");
    let me = format!("{}/api/v1/users/me", scene.api.base);
    let ask = async || scene.stack.client.get(&me).bearer_auth(&key).send().await.expect("an answer");
    let answer = ask().await;
    assert_eq!(answer.status().as_u16(), 200);
    assert!(answer.text().await.expect("text").contains("\"101\""), "it acts in her name");

    let list = scene.look(&ann, "/apikey list").await;
    assert!(list.contains("backup") && list.contains("write:servers"), "{list}");
    assert!(!list.contains(&key), "it is shown once");
    let others = scene.look(&scene.ben(), "/apikey list").await;
    assert!(others.contains("You have none"), "{others}");

    let (asked, id) = {
        let choice = scene.offered(&ann, "/apikey revoke key:backup").await.remove(0);
        (scene.discord.command(&ann, &format!("/apikey revoke key:{}", choice.0)).await, choice.1)
    };
    assert!(asked.answered().await.text().contains("Revoke this key?"));
    let foreign = scene.refused(&scene.ben(), &format!("/apikey revoke key:{id}")).await;
    assert!(foreign.contains("There is no such key"), "{foreign}");
    let revoked = asked.press(&ann, "Revoke it").await;
    revoked.until("the end", |message| message.text().contains("Key revoked")).await;
    agis_test_support::wait::until(crate::common::SOON, "the key to open nothing", async || {
        (ask().await.status().as_u16() == 401).then_some(())
    })
    .await;
    let log = format!("{:?}", scene.bot.log());
    let secret = key.trim_start_matches("agis_");
    assert!(secret.len() > 20 && !log.contains(secret), "no key is logged");
    scene.assert_clean();
}

#[tokio::test]
async fn key_mistake_is_told_in_private() {
    let scene = Scene::with(&[("KEYS_PER_USER", "1")]).await;
    let ann = scene.ann();
    scene.look(&ann, "/apikey create name:one access:look at servers and schedules").await;
    for (line, part) in [
        ("/apikey create name:two", "`/apikey revoke` one first"),
        ("/apikey revoke key:my key", "/apikey list"),
        ("/apikey revoke key:999999", "/apikey list"),
    ] {
        let refused = scene.refused(&ann, line).await;
        assert!(refused.contains(part), "{line}: {refused}");
    }
    for line in ["/apikey create name:x days:0", "/apikey create name:x access:root"] {
        assert!(scene.discord.try_command(&ann, line).await.is_err(), "{line}");
    }
    assert_eq!(scene.count("api_keys WHERE discord_id = '101'").await, 1);
    scene.assert_clean();
}
