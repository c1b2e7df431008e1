//! Conversations of people with the bot.

use agis_discord_stand_in::{Message, Person, Reply};

use crate::scene::Scene;

/// The colour of what went wrong.
const BAD: u64 = 0xd8_3c3e;

impl Scene {
    /// Types a line, and waits for its answer.
    pub(crate) async fn say(&self, person: &Person, line: &str) -> Message {
        let reply = self.discord.command(person, line).await;
        assert!(!reply.late(), "{line}");
        reply.answered().await
    }

    /// Types a line whose answer concerns who typed it alone.
    pub(crate) async fn look(&self, person: &Person, line: &str) -> String {
        let message = self.say(person, line).await;
        assert!(message.is_ephemeral(), "{line}: {}", message.text());
        assert!(!is_bad(&message), "{line}: {}", message.text());
        message.text()
    }

    /// Types a line that is refused, which nobody else sees.
    pub(crate) async fn refused(&self, person: &Person, line: &str) -> String {
        let reply = self.discord.command(person, line).await;
        assert!(!reply.late(), "{line}");
        refusal(&reply).await
    }

    /// A server of this name, which somebody makes.
    pub(crate) async fn server(&self, person: &Person, name: &str, game: &str) {
        let said = self.look(person, &format!("/server create name:{name} game:{game}")).await;
        assert!(said.contains("is there"), "{said}");
    }

    /// Starts a server of the game `demo`, and waits until it is ready.
    pub(crate) async fn running(&self, person: &Person, name: &str) -> Reply {
        let reply = self.discord.command(person, &format!("/server start server:{name}")).await;
        reply.until("a server that is ready", |message| message.text().contains("is ready")).await;
        reply
    }

    /// Returns the suggestions for a typed line: names and values.
    pub(crate) async fn offered(&self, person: &Person, line: &str) -> Vec<(String, String)> {
        let choices = self.discord.autocomplete(person, line).await;
        choices.into_iter().map(|choice| (choice.name, choice.value)).collect()
    }

    /// How many rows a query counts.
    pub(crate) async fn count(&self, rows: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {rows}");
        self.stack.sql().await.query_one(&query, &[]).await.expect("a count").get(0)
    }
}

/// Why something was refused; nobody else reads it.
pub(crate) async fn refusal(reply: &Reply) -> String {
    let message = reply.until("a refusal", |message| message.is_ephemeral() && is_bad(message)).await;
    assert!(!reply.late());
    message.text()
}

pub(crate) fn is_bad(message: &Message) -> bool {
    message.embeds.iter().any(|embed| embed["color"] == BAD) && message.buttons().is_empty()
}

/// The moments in `<t:1:F>`.
pub(crate) fn moments(text: &str) -> Vec<i64> {
    let ends = text.split("<t:").skip(1).filter_map(|rest| rest.split_once(":F>"));
    ends.filter_map(|(moment, _)| moment.parse().ok()).collect()
}
