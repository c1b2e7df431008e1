//! People in Discord: they type commands, and none of their messages may stay at "thinking…".

use std::time::{Duration, Instant};

use agis_discord_stand_in::{CHANNEL, Discord, Person};
use tokio::time::sleep;

use crate::{players::Promised, problems::Problems};

/// How long a message may show that its answer is still to come: the life of an interaction's token is 15 minutes, and the
/// next process repairs what the last left long before.
const THINKS: Duration = Duration::from_secs(120);

pub(crate) struct Member {
    pub(crate) discord: Discord,
    pub(crate) person: Person,
    /// The name of their server.
    pub(crate) server: String,
    pub(crate) promised: Promised,
    pub(crate) problems: Problems,
}

impl Member {
    pub(crate) async fn chat(&self, until: Instant) {
        let name = &self.server;
        self.type_line(&format!("/server create name:{name} game:demo")).await;
        while Instant::now() < until {
            let lines = [
                "/server list".to_owned(),
                "/profile".to_owned(),
                "/schedule list".to_owned(),
                format!("/server info server:{name}"),
                format!("/server start server:{name}"),
                format!("/server restart server:{name}"),
                format!("/server logs server:{name}"),
            ];
            if let Some(line) = fastrand::choice(&lines) {
                self.type_line(line).await;
            }
            sleep(Duration::from_millis(fastrand::u64(1000..5000))).await;
        }
    }

    /// Nothing is wrong with a line that nobody heard, while the bot is away.
    async fn type_line(&self, line: &str) {
        self.promised.wish();
        let _ = self.discord.try_command(&self.person, line).await;
    }

    /// Waits for the last answers, and reports those that do not come.
    pub(crate) async fn leave(&self) {
        let began = Instant::now();
        let dm = self.discord.dm_channel(&self.person);
        let thinking = || -> Vec<String> {
            let messages = [CHANNEL, dm].into_iter().flat_map(|channel| self.discord.messages(channel));
            messages.filter(|message| message.is_loading()).map(|message| message.id.to_string()).collect()
        };
        while !thinking().is_empty() && began.elapsed() < THINKS {
            sleep(Duration::from_secs(1)).await;
        }
        for message in thinking() {
            self.problems.found("a message that stays at \"thinking…\"", message);
        }
    }
}
