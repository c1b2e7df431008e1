//! A running program: its process and its log.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use agis_test_support::wait;
use serde_json::{Value, json};

use super::{SOON, signal};

/// Returns the path of a program of this workspace. Tests of one program run the other too.
pub(crate) fn path(name: &str) -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_agis-api").or(option_env!("CARGO_BIN_EXE_agis-bot")).expect("a program");
    let path = Path::new(built).with_file_name(name);
    assert!(path.is_file(), "{name} was not built: cargo build --workspace --bins");
    path
}

/// A running program; it is killed with this value.
pub(crate) struct Program {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Program {
    /// Starts it, and waits until it says this; answers with that line as well.
    pub(crate) async fn start(mut command: Command, until: &'static str) -> (Self, Value) {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a program");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let log = Arc::new(Mutex::new(vec![]));
        let (telling, told) = mpsc::channel();
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "text": line }));
                // Kept before it is told: whoever was told may look for it.
                lines.lock().expect("the log").push(line.clone());
                if line["message"] == until {
                    let _ = telling.send(line);
                }
            }
        });
        let told = tokio::task::spawn_blocking(move || told.recv_timeout(SOON)).await.expect("a thread");
        let told = told.unwrap_or_else(|_| panic!("'{until}' was not said: {:?}", log.lock().expect("the log")));
        (Self { child, log }, told)
    }

    /// The lines that were logged so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().expect("the log").clone()
    }

    /// Waits for a line of the log: it comes through a pipe, so an answer may be seen before what was logged ahead of it.
    pub(crate) async fn logged(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait::until(SOON, &format!("a line of the log: {what}"), async || self.log().into_iter().find(&is)).await
    }

    pub(crate) fn pid(&self) -> i64 {
        self.child.id().into()
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    pub(crate) fn freeze(&self) {
        signal(self.pid(), "STOP");
    }

    pub(crate) fn thaw(&self) {
        signal(self.pid(), "CONT");
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// SIGTERM, and the end.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        wait::until(Duration::from_secs(60), "a program to end", async || self.exit()).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sample of metrics in Prometheus' text format, by its name and labels as they are printed; zero where there is none.
pub(crate) fn sample(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}
