use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::settings::Settings;
use crate::database::DevDatabase;
use crate::failure::Result;
use crate::http;
use crate::program::{Program, Stop, output};
use crate::run::{run, step};
use crate::signals::Interrupts;
use crate::state::State;

/// Game servers save their worlds meanwhile.
const STOP: Stop = Stop {
    limit: Duration::from_secs(60),
    killed: "; its game servers run on, and the next `cargo xtask dev` takes them over",
};

/// The owner of the demo key: an id that Discord gives to nobody.
const DEMO_USER: &str = "100000000000000001";

/// Returns the settings that both programs read.
pub(super) fn environment(settings: &Settings, database: &DevDatabase, state: &State) -> Vec<(&'static str, OsString)> {
    let fixed = [
        ("DATABASE_URL", database.url().into()),
        ("BIND_ADDRESS", settings.bind_address.clone().into()),
        ("METRICS_ADDRESS", settings.metrics_address.clone().into()),
    ];
    let defaults: [(_, OsString); 5] = [
        ("AGIS_DATA_DIR", state.data().into()),
        ("PUBLIC_ADDRESS", "127.0.0.1".into()),
        // A laptop is renamed by the network it is in; its servers stay its own.
        ("AGIS_HOST_NAME", "dev".into()),
        ("GAME_BIND_ADDRESS", "127.0.0.1".into()),
        ("GAMES_ON_SHUTDOWN", "stop".into()),
    ];
    let defaults = defaults.into_iter().filter(|(name, _)| env::var_os(name).is_none());
    fixed.into_iter().chain(defaults).collect()
}

/// The `agis-api` of this run, stopped when dropped.
pub(super) struct Api<'a> {
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    settings: &'a Settings,
    interrupts: &'a Interrupts,
    running: Option<Program<'a>>,
}

impl<'a> Api<'a> {
    pub(super) fn new(
        program: PathBuf,
        settings: &'a Settings,
        shared: &[(&'static str, OsString)],
        interrupts: &'a Interrupts,
    ) -> Self {
        let own = [
            ("API_PORT", settings.api_port.to_string().into()),
            ("METRICS_PORT", settings.metrics_port.to_string().into()),
        ];
        let environment = shared.iter().cloned().chain(own).collect();
        Self { program, environment, settings, interrupts, running: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).envs(self.environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    /// Runs one of its subcommands to the end.
    pub(super) fn run(&self, args: &[&str]) -> Result {
        run(&mut self.command(args), self.interrupts)
    }

    pub(super) fn start(&mut self) -> Result {
        let running = Program::start("agis-api", &mut self.command(&["serve"]), STOP, self.interrupts)?;
        self.running.insert(running).wait_until_ready(&self.settings.metrics())
    }

    pub(super) fn check_alive(&mut self) -> Result {
        self.running.as_mut().map_or(Ok(()), Program::check_alive)
    }

    /// The key of an earlier run if it still works, else a new one.
    pub(super) fn working_key(&self, earlier: Option<String>) -> Result<String> {
        let host = self.settings.api();
        let works = |key: &String| matches!(http::get(&host, "/api/v1/users/me", Some(key)), Ok(200));
        match earlier.filter(works) {
            Some(key) => Ok(key),
            None => self.new_key(),
        }
    }

    fn new_key(&self) -> Result<String> {
        step("making a demo user and an API key");
        let mut create = self.command(&["keys", "create", "--user", DEMO_USER, "--name", "dev"]);
        // The file with the last key may get lost again and again; each time the user needs one more key.
        output(create.env("KEYS_PER_USER", "100000"))
    }
}
