use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use agis_test_support::account::Account;
use agis_test_support::leash::Leash;
use rustix::process::Signal;

use super::settings::Settings;
use crate::database::DevDatabase;
use crate::failure::{Failure, Result};
use crate::http;
use crate::run::{run, signal, step};
use crate::signals::Interrupts;
use crate::state::State;

const READY: Duration = Duration::from_secs(60);
/// Game servers save their worlds meanwhile.
const STOP: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// The owner of the demo key: an id that Discord gives to nobody.
const DEMO_USER: &str = "100000000000000001";

/// The `agis-api` of this run, stopped when dropped.
pub(super) struct Api<'a> {
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    settings: &'a Settings,
    interrupts: &'a Interrupts,
    process: Option<(Child, Leash)>,
}

impl<'a> Api<'a> {
    pub(super) fn new(
        program: PathBuf,
        settings: &'a Settings,
        database: &DevDatabase,
        state: &State,
        interrupts: &'a Interrupts,
    ) -> Self {
        let fixed = [
            ("DATABASE_URL", database.url().into()),
            ("API_PORT", settings.api_port.to_string().into()),
            ("METRICS_PORT", settings.metrics_port.to_string().into()),
            ("BIND_ADDRESS", settings.bind_address.clone().into()),
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
        let environment = fixed.into_iter().chain(defaults).collect();
        Self { program, environment, settings, interrupts, process: None }
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
        // In a process group of its own: Ctrl-C is for us, who then stop things in order.
        let process = self.command(&["serve"]).process_group(0).spawn();
        let process = process.map_err(|error| Failure::new(format!("cannot run agis-api: {error}")))?;
        // As we run, for root's agis-api too: only its owner may signal it.
        let leash = Leash::tie(&Account::Ours, r#"kill -TERM "$1""#, &[&process.id().to_string()])?;
        self.process = Some((process, leash));
        Ok(())
    }

    pub(super) fn wait_until_ready(&mut self) -> Result {
        let deadline = Instant::now() + READY;
        let host = self.settings.reachable(self.settings.metrics_port);
        while !matches!(http::get(&host, "/readyz", None), Ok(200)) {
            self.check_alive()?;
            if Instant::now() > deadline {
                let seconds = READY.as_secs();
                return Err(Failure::new(format!("agis-api was not ready after {seconds} s; its log above says why")));
            }
            if self.interrupts.wait(PAUSE).is_some() {
                return Err(Failure::Interrupted);
            }
        }
        Ok(())
    }

    pub(super) fn check_alive(&mut self) -> Result {
        match self.exited() {
            None => Ok(()),
            Some(status) => Err(Failure::new(format!("agis-api ended by itself ({status}); its log above says why"))),
        }
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().and_then(|(process, _)| process.try_wait().ok().flatten())
    }

    /// The key of an earlier run if it still works, else a new one.
    pub(super) fn working_key(&self, earlier: Option<String>) -> Result<String> {
        let host = self.settings.reachable(self.settings.api_port);
        let works = |key: &String| matches!(http::get(&host, "/api/v1/users/me", Some(key)), Ok(200));
        match earlier.filter(works) {
            Some(key) => Ok(key),
            None => self.new_key(),
        }
    }

    fn new_key(&self) -> Result<String> {
        step("making a demo user and an API key");
        let output = self
            .command(&["keys", "create", "--user", DEMO_USER, "--name", "dev"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| Failure::new(format!("cannot run agis-api: {error}")))?;
        if !output.status.success() {
            return Err(Failure::Status(output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Waits for the end, or for another Ctrl-C.
    fn ends_in(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.exited().is_none() {
            if Instant::now() > deadline || self.interrupts.wait(PAUSE).is_some() {
                return false;
            }
        }
        true
    }
}

impl Drop for Api<'_> {
    fn drop(&mut self) {
        if self.exited().is_none()
            && let Some((process, _)) = &self.process
        {
            signal(process, Signal::TERM);
            if !self.ends_in(STOP) {
                step("killing agis-api; its game servers run on, and the next `cargo xtask dev` takes them over");
            }
        }
        if let Some((mut process, _leash)) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
