//! A private Redis, whose data goes with it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::account::Account;
use crate::error::{Error, Result};
use crate::leash::Leash;
use crate::postgres::port;

/// The program, and the name of Debian's package.
const PROGRAM: &str = "redis-server";
const START: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// A running `redis-server`, killed when dropped. It keeps its port when it is started again, and forgets everything.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Child,
    _leash: Leash,
}

impl Redis {
    /// Starts one on a free port of localhost, and waits until it answers.
    ///
    /// # Errors
    /// Where there is no `redis-server`, or it does not start.
    pub fn start() -> Result<Self> {
        let mut redis = Self { port: port::free()?, running: None };
        redis.restart()?;
        Ok(redis)
    }

    /// Whether there is a `redis-server` on this machine.
    #[must_use]
    pub fn is_installed() -> bool {
        Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }

    /// Has the system's package manager install it where it is missing; [`Redis::start`] tells whether that helped.
    pub fn install() {
        if !Self::is_installed() {
            crate::apt::install(&[PROGRAM]);
        }
    }

    /// Where it is, as `REDIS_URL` has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// SIGKILL, and nobody listens any more.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = Command::new(PROGRAM);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| {
            Error::new(format!("cannot run {PROGRAM}: {error}. To install it: apt-get install {PROGRAM}"))
        })?;
        let leash = Leash::tie(&Account::Ours, r#"kill -TERM "$1""#, &[&process.id().to_string()])?;
        self.running.insert(Running { process, _leash: leash }).wait_until_ready(self.port)
    }

    /// Stops its process; connections stay, and answer nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(running) = &self.running {
            let _ = kill_process(Pid::from_child(&running.process), signal);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    fn wait_until_ready(&mut self, port: u16) -> Result<()> {
        // Whoever else has the port answers too, but not as this process.
        let ours = format!("process_id:{}\r\n", self.process.id());
        let deadline = Instant::now() + START;
        while !info(port).is_ok_and(|info| info.contains(&ours)) {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(Error::new(format!("{PROGRAM} on port {port} ended at once ({status})")));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!("{PROGRAM} did not answer within {} s", START.as_secs())));
            }
            sleep(PAUSE);
        }
        Ok(())
    }
}

/// What a Redis says of itself.
fn info(port: u16) -> Result<String> {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"INFO server\r\nQUIT\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    ask().map_err(Error::at(Path::new(PROGRAM)))
}
