//! Common start of most tests.

use std::{ops::Deref, process::Command, time::Duration};

use agis_discord_stand_in::{Discord, Person};
use agis_test_support::{clock, wait};
use serde_json::Value;

use crate::common::{
    Api, SOON, Stack,
    program::{self, Program},
};

/// A database, Discord, the bot, and an `agis-api` that runs the servers.
pub(crate) struct Scene {
    pub(crate) bot: Bot,
    pub(crate) api: Api,
    pub(crate) discord: Discord,
    pub(crate) stack: Stack,
}

impl Scene {
    /// The bot is connected and its commands are registered.
    pub(crate) async fn open() -> Self {
        Self::with(&[]).await
    }

    /// With these settings of the bot beside the usual ones.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(Stack::start().await, settings).await
    }

    /// On a stack that was prepared for it.
    pub(crate) async fn on(stack: Stack, settings: &[(&str, &str)]) -> Self {
        let discord = Discord::start().await;
        let api = stack.api(&[]).await;
        let data_dir = stack.data_dir();
        let consoles = ("AGIS_DATA_DIR", data_dir.to_str().expect("a path"));
        let bot = Bot::start(&stack, &discord, &[&[consoles], settings].concat()).await;
        discord.wait_for_commands().await;
        bot.until_ready().await;
        Self { bot, api, discord, stack }
    }

    /// Somebody of the guild.
    pub(crate) fn ann(&self) -> Person {
        self.discord.person(101, "Ann")
    }

    /// Somebody else.
    pub(crate) fn ben(&self) -> Person {
        self.discord.person(102, "Ben")
    }

    /// To be said at the end of every test: the bot did nothing that Discord does not allow, and was never late.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.discord.complaints(), [""; 0]);
        let panicked = |line: &Value| line.to_string().contains("panicked");
        assert!(!self.bot.log().iter().any(panicked), "{:?}", self.bot.log());
    }
}

/// A running `agis-bot`.
pub(crate) struct Bot {
    program: Program,
    metrics: String,
    client: reqwest::Client,
}

impl Bot {
    pub(crate) async fn start(stack: &Stack, discord: &Discord, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program::path("agis-bot"));
        clock::clear_env(&mut command)
            .envs(stack.settings())
            .env("DISCORD_TOKEN", discord.token())
            .env("DISCORD_API_URL", discord.url())
            .envs(settings.iter().copied());
        let (program, told) = Program::start(command, "bot started").await;
        let metrics = format!("http://{}", told["metrics_address"].as_str().expect("an address"));
        Self { program, metrics, client: stack.client.clone() }
    }

    /// Returns the body of `/readyz`.
    pub(crate) async fn readiness(&self) -> Value {
        let answer = self.client.get(format!("{}/readyz", self.metrics)).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Waits until nothing is degraded.
    pub(crate) async fn until_ready(&self) {
        self.until("the bot to be ready", |report| report["status"] == "ok").await;
    }

    /// Waits until readiness says this.
    pub(crate) async fn until(&self, what: &str, says: impl Fn(&Value) -> bool) -> Value {
        wait::until(SOON, what, async || Some(self.readiness().await).filter(&says)).await
    }

    pub(crate) async fn metric(&self, sample: &str) -> f64 {
        let text = self.client.get(format!("{}/metrics", self.metrics)).send().await.expect("metrics");
        program::sample(&text.text().await.expect("text"), sample)
    }

    /// SIGTERM; what it answers with, and how long that took.
    pub(crate) async fn stop(self) -> (bool, Duration) {
        let began = std::time::Instant::now();
        (self.program.stop().await.success(), began.elapsed())
    }

    pub(crate) fn kill(self) {
        self.program.kill();
    }
}

impl Deref for Bot {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}
