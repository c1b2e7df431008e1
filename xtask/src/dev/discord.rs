//! The bot, and the stand-in for Discord that it talks to.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::settings::Settings;
use crate::build;
use crate::failure::{Failure, Result};
use crate::program::{Program, Stop};
use crate::run::step;
use crate::signals::Interrupts;

/// The port of the stand-in's page, unless another program has it.
const PAGE_PORT: u16 = 8090;
const STOP: Stop = Stop { limit: Duration::from_secs(15), killed: "" };

/// The settings by which the bot finds Discord.
pub(crate) const URL: &str = "DISCORD_API_URL";
pub(crate) const TOKEN: &str = "DISCORD_TOKEN";

/// The programs, built.
pub(super) struct Built {
    bot: PathBuf,
    /// `None`: the bot speaks to Discord itself.
    stand_in: Option<PathBuf>,
}

/// The bot of this run and its Discord, stopped when dropped: the bot first.
pub(super) struct Discord<'a> {
    bot: Program<'a>,
    stand_in: Option<StandIn<'a>>,
}

/// Returns whether this run has a bot.
pub(super) fn is_wanted(stand_in: bool) -> bool {
    stand_in || env::var_os(TOKEN).is_some()
}

/// Builds the bot where there is a Discord for it: the stand-in if that is wanted, else the real one if there is a token.
pub(super) fn build(stand_in: bool, release: bool, interrupts: &Interrupts) -> Result<Option<Built>> {
    if !is_wanted(stand_in) {
        return Ok(None);
    }
    let stand_in = stand_in.then(|| build::discord_stand_in(interrupts)).transpose()?;
    Ok(Some(Built { bot: build::agis_bot(release, interrupts)?, stand_in }))
}

impl Built {
    pub(super) fn start<'a>(
        self,
        settings: &Settings,
        shared: &[(&'static str, OsString)],
        interrupts: &'a Interrupts,
    ) -> Result<Discord<'a>> {
        let stand_in = self.stand_in.map(|program| StandIn::start(program, interrupts)).transpose()?;
        step("starting agis-bot");
        let mut command = Command::new(self.bot);
        command.envs(shared.iter().map(|(name, value)| (name, value)));
        command.env("METRICS_PORT", settings.bot_metrics_port.to_string());
        if env::var_os("PUBLIC_API_URL").is_none() {
            command.env("PUBLIC_API_URL", format!("http://{}", settings.api()));
        }
        if let Some(stand_in) = &stand_in {
            command.env(URL, &stand_in.url).env(TOKEN, &stand_in.token);
            // A guild of the real Discord is not there.
            command.env_remove("DISCORD_GUILD_ID");
        }
        let mut bot = Program::start("agis-bot", &mut command, STOP, interrupts)?;
        bot.wait_until_ready(&settings.bot_metrics())?;
        Ok(Discord { bot, stand_in })
    }
}

impl Discord<'_> {
    /// The address of the stand-in's page.
    pub(super) fn page(&self) -> Option<&str> {
        self.stand_in.as_ref().map(|stand_in| stand_in.url.as_str())
    }

    pub(super) fn check_alive(&mut self) -> Result {
        self.bot.check_alive()?;
        self.stand_in.as_mut().map_or(Ok(()), |stand_in| stand_in.program.check_alive())
    }
}

/// A stand-in for Discord, with the address of its page and API, and the token that it takes.
pub(crate) struct StandIn<'a> {
    program: Program<'a>,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl<'a> StandIn<'a> {
    pub(crate) fn start(program: PathBuf, interrupts: &'a Interrupts) -> Result<Self> {
        step("starting the stand-in for Discord");
        let mut command = Command::new(program);
        command.arg(port().to_string()).stdout(Stdio::piped());
        let mut program = Program::start("the stand-in for Discord", &mut command, STOP, interrupts)?;
        let Some(said) = program.process().stdout.take() else {
            return Err(Failure::new("the stand-in for Discord cannot be heard"));
        };
        // The stand-in prints both at once when it is up, or ends.
        let mut lines = BufReader::new(said).lines().map_while(std::result::Result::ok);
        let mut read = |name: &str| {
            let line = lines.next().unwrap_or_default();
            let value = line.strip_prefix(name).and_then(|line| line.strip_prefix('='));
            value.map(ToOwned::to_owned).ok_or_else(|| Failure::new("the stand-in for Discord did not start"))
        };
        Ok(Self { url: read(URL)?, token: read(TOKEN)?, program })
    }
}

/// The usual port if it is free, else any.
fn port() -> u16 {
    if TcpListener::bind(("127.0.0.1", PAGE_PORT)).is_ok() { PAGE_PORT } else { 0 }
}
