//! A private Redis, whose data goes with it.

use std::fs::{self, DirBuilder};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::account::Account;
use crate::certificates::ServerTls;
use crate::error::{Error, Result};
use crate::leash::Leash;
use crate::postgres::port;
use crate::random;

/// The program, and the name of Debian's package.
const PROGRAM: &str = "redis-server";
const START: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// A running `redis-server`, killed when dropped. It keeps its port when it is started again, and forgets everything.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    tls: Option<Tls>,
    running: Option<Running>,
}

/// Its other port, for TLS, and the folder of its files, which goes with it.
#[derive(Debug)]
struct Tls {
    port: u16,
    dir: PathBuf,
    is_asking: bool,
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
    /// Fails if there is no `redis-server`, or it does not start.
    pub fn start() -> Result<Self> {
        Self::with(None)
    }

    /// The same, which speaks TLS on a port of its own.
    ///
    /// # Errors
    /// If there is no `redis-server` that was built with TLS, or it does not start.
    pub fn start_tls(tls: &ServerTls) -> Result<Self> {
        Self::with(Some(Tls::new(tls)?))
    }

    fn with(tls: Option<Tls>) -> Result<Self> {
        let mut redis = Self { port: port::free()?, tls, running: None };
        redis.restart()?;
        Ok(redis)
    }

    /// The port on which it speaks TLS, if it does.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.tls.as_ref().map(|tls| tls.port)
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

    /// Returns the address, in the form of `REDIS_URL`.
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
    /// Fails if it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = Command::new(PROGRAM);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(self.tls.iter().flat_map(Tls::args));
        // redis-server does not come up under libfaketime (0.9.10), so it stays on the machine's clock where tests run on another.
        command.env_remove("LD_PRELOAD");
        command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| {
            Error::new(format!("cannot run {PROGRAM}: {error}. To install it: apt-get install {PROGRAM}"))
        })?;
        let leash = Leash::tie(&Account::Ours, r#"kill -TERM "$1""#, &[&process.id().to_string()])?;
        self.running.insert(Running { process, _leash: leash }).wait_until_ready(self.port, self.tls.is_some())
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

impl Tls {
    fn new(tls: &ServerTls) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("agis-redis-{}", random::hex()?));
        DirBuilder::new().mode(0o700).create(&dir).map_err(Error::at(&dir))?;
        let made = Self { port: port::free()?, dir, is_asking: tls.clients.is_some() };
        let clients = tls.clients.as_ref().unwrap_or(&tls.shown.certificate);
        for (name, content) in [("certificate", &tls.shown.certificate), ("key", &tls.shown.key), ("clients", clients)]
        {
            let path = made.dir.join(name);
            fs::write(&path, content).map_err(Error::at(&path))?;
        }
        Ok(made)
    }

    fn args(&self) -> Vec<String> {
        let file = |name: &str| self.dir.join(name).display().to_string();
        let args = [
            ["--tls-port", &self.port.to_string()],
            ["--tls-cert-file", &file("certificate")],
            ["--tls-key-file", &file("key")],
            ["--tls-ca-cert-file", &file("clients")],
            ["--tls-auth-clients", if self.is_asking { "yes" } else { "no" }],
        ];
        args.concat().into_iter().map(str::to_owned).collect()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    fn wait_until_ready(&mut self, port: u16, with_tls: bool) -> Result<()> {
        // Another process on the port answers too, but not as this one.
        let ours = format!("process_id:{}\r\n", self.process.id());
        let deadline = Instant::now() + START;
        while !info(port).is_ok_and(|info| info.contains(&ours)) {
            if let Ok(Some(status)) = self.process.try_wait() {
                let tls = if with_tls { "; was it built with TLS?" } else { "" };
                return Err(Error::new(format!("{PROGRAM} on port {port} ended at once ({status}){tls}")));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!("{PROGRAM} did not answer within {} s", START.as_secs())));
            }
            sleep(PAUSE);
        }
        Ok(())
    }
}

/// Returns the answer to INFO.
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
