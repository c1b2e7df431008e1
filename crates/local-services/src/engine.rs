//! A private container engine, Docker or Podman, whose containers and images go with it. Needs root.

mod home;
mod leftovers;

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use self::home::Home;
use crate::account::Account;
use crate::apt::succeeds;
use crate::error::{Error, Result};
use crate::leash::Leash;
use crate::{random, rootfs};

const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// Make of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// Docker Engine.
    Docker,
    /// Podman, as a service.
    Podman,
}

impl Make {
    /// Both, the one that starts faster first.
    pub const ALL: [Self; 2] = [Self::Podman, Self::Docker];

    /// Returns its name in small letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// Returns the make of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|make| make.as_str() == name)
    }

    fn program(self) -> &'static str {
        match self {
            Self::Docker => "dockerd",
            Self::Podman => "podman",
        }
    }

    /// Has the system's package manager install it where it is missing; [`Engine::start`] tells whether that helped.
    pub fn install(self) {
        let is_there = |program: &str| {
            succeeds(Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()))
        };
        if !is_there(self.program()) || !Path::new("/bin/busybox").exists() || !is_there("runc") {
            let own: &[&str] = match self {
                Self::Docker => &["docker.io", "tini"],
                Self::Podman => &["podman", "runc", "catatonit", "netavark", "containernetworking-plugins"],
            };
            crate::apt::install(&[own, &["busybox-static", "iproute2", "iptables"]].concat());
        }
    }
}

/// A running engine with a folder and networks of its own. Dropping it removes everything. What an engine left that was killed
/// with its owner is removed when the next one starts.
#[derive(Debug)]
pub struct Engine {
    make: Make,
    dir: PathBuf,
    running: Option<Running>,
    home: Home,
}

#[derive(Debug)]
struct Running {
    process: Child,
    _leash: Leash,
}

impl Engine {
    /// Starts one, and waits until it answers.
    ///
    /// # Errors
    /// Fails if the engine is not installed, or does not start.
    pub fn start(make: Make) -> Result<Self> {
        let home = Home::take()?;
        let mut engine = Self { make, dir: home.number.dir(), running: None, home };
        engine.configure()?;
        // Each Docker begins with chains of the firewall that another one may be changing at the moment.
        let tries = if make == Make::Docker { 3 } else { 1 };
        (1..tries).find_map(|_| engine.restart().ok()).map_or_else(|| engine.restart(), Ok)?;
        Ok(engine)
    }

    /// Returns its make.
    #[must_use]
    pub fn make(&self) -> Make {
        self.make
    }

    /// Returns the path of its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Starts it again with what it had.
    ///
    /// # Errors
    /// Fails if it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let socket = self.socket();
        let _ = fs::remove_file(&socket);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .map_err(Error::at(&self.dir))?;
        let mut command = self.command();
        match self.make {
            Make::Docker => {
                command.arg("-H").arg(format!("unix://{}", socket.display()));
            }
            Make::Podman => {
                command.args(["system", "service", "--time", "0"]).arg(format!("unix://{}", socket.display()));
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).current_dir("/");
        let program = self.make.program();
        let process = command.spawn().map_err(|error| Error::new(format!("cannot run {program}: {error}")))?;
        let script = r#"kill -TERM "$1"; sleep 5; kill -KILL -"$1"; rm -rf "$2""#;
        let leash = Leash::tie(&Account::Ours, script, &[&process.id().to_string(), &self.dir.to_string_lossy()])?;
        self.running = Some(Running { process, _leash: leash });
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        while !self.ask("GET", "/_ping", &[]).is_ok_and(|answer| answer.contains(" 200 ")) {
            let ended = self.running.as_mut().and_then(|running| running.process.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                let tail: String = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
                return Err(Error::new(format!("{} did not start:\n{tail}", self.make.program())));
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    /// Kills the engine. Its containers may go on.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
        self.kill_containerd();
    }

    /// Kills the containerd that a dockerd began, which has a session of its own. The next dockerd begins another one.
    fn kill_containerd(&self) {
        let file = self.dir.join("exec/containerd/containerd.pid");
        let pid = fs::read_to_string(&file).unwrap_or_default();
        let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) else { return };
        // Another process may have the number by now.
        let command = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
        let is_ours =
            || fs::read(&command).is_ok_and(|it| String::from_utf8_lossy(&it).contains(&*self.dir.to_string_lossy()));
        let deadline = Instant::now() + END;
        while is_ours() && Instant::now() < deadline {
            let _ = kill_process(pid, Signal::KILL);
            sleep(PAUSE);
        }
        // A dockerd takes a dead process that nobody has reaped yet for its containerd, and waits for it.
        let _ = fs::remove_file(file);
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

    /// Builds an image from scratch of programs and the libraries that they load, and of busybox if it is installed as a
    /// static program. `lines` are further lines of its Dockerfile. No registry is needed.
    ///
    /// # Errors
    /// Fails if a program cannot be read, or the engine refuses.
    pub fn build(&self, image: &str, programs: &[&Path], lines: &str) -> Result<()> {
        let root = self.dir.join(format!("image-{}", random::hex()?));
        rootfs::fill(&root, programs)?;
        let file = root.join("Dockerfile");
        fs::write(&file, format!("FROM scratch\nCOPY . /\nENV PATH=/bin\n{lines}\n")).map_err(Error::at(&file))?;
        let tar = rootfs::tar(&root)?;
        let answer = self.ask("POST", &format!("/build?t={image}"), &tar)?;
        let _ = fs::remove_dir_all(&root);
        if answer.contains(" 200 ") && !answer.contains("\"error\"") { Ok(()) } else { Err(Error::new(answer)) }
    }

    /// Has the health of a container checked. Docker does that by itself, and Podman by timers of systemd.
    ///
    /// # Errors
    /// Fails if the engine does not answer.
    pub fn check_health(&self, container: &str) -> Result<()> {
        match self.make {
            Make::Docker => Ok(()),
            Make::Podman => {
                self.ask("GET", &format!("/v4.0.0/libpod/containers/{container}/healthcheck"), &[]).map(drop)
            }
        }
    }

    /// Asks the engine, and returns the head and the body of its answer.
    ///
    /// # Errors
    /// Fails if the engine does not answer.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<String> {
        let socket = self.socket();
        let ask = || {
            let mut stream = UnixStream::connect(&socket)?;
            stream.set_read_timeout(Some(START))?;
            let kind = "Content-Type: application/x-tar";
            let length = body.len();
            write!(stream, "{method} {path} HTTP/1.0\r\nHost: engine\r\n{kind}\r\nContent-Length: {length}\r\n\r\n")?;
            stream.write_all(body)?;
            let mut answer = vec![];
            match stream.read_to_end(&mut answer) {
                // Docker closes before it has read the padding of an archive.
                Err(error) if error.kind() == ErrorKind::ConnectionReset && !answer.is_empty() => {}
                read => drop(read?),
            }
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        ask().map_err(Error::at(&socket))
    }

    /// Returns the program with everything that keeps it apart from other engines.
    fn command(&self) -> Command {
        let dir = |name: &str| self.dir.join(name).into_os_string();
        let (base, size) = self.home.number.networks();
        let mut command = Command::new(self.make.program());
        // The engines are Go programs, which do not come up under libfaketime.
        command.env_remove("LD_PRELOAD");
        let args: Vec<OsString> = match self.make {
            Make::Docker => vec![
                "--storage-driver=vfs".into(),
                "--bridge=none".into(),
                "--default-address-pool".into(),
                format!("base={base},size={size}").into(),
                "--shutdown-timeout=2".into(),
                "--data-root".into(),
                dir("data"),
                "--exec-root".into(),
                dir("exec"),
                "--pidfile".into(),
                dir("pid"),
            ],
            Make::Podman => {
                command.env("CONTAINERS_CONF", dir("containers.conf"));
                command.env("CONTAINERS_REGISTRIES_CONF", dir("registries.conf"));
                let flags = ["--storage-driver=vfs", "--runtime=runc", "--cgroup-manager=cgroupfs"];
                let dirs =
                    [("--root", "data"), ("--runroot", "run"), ("--tmpdir", "tmp"), ("--network-config-dir", "net")];
                let dirs = dirs.into_iter().flat_map(|(flag, name)| [flag.into(), dir(name)]);
                flags.into_iter().map(OsString::from).chain(dirs).collect()
            }
        };
        command.args(args);
        command
    }

    /// Writes the settings that have no flag: locks and networks of its own, and registries of this machine without TLS, as
    /// Docker has them.
    fn configure(&self) -> Result<()> {
        let (base, size) = self.home.number.networks();
        let engine = format!(
            "[engine]\nlock_type = \"file\"\nevents_logger = \"file\"\n\
             [network]\ndefault_subnet_pools = [{{ base = \"{base}\", size = {size} }}]\n"
        );
        let registries = "[[registry]]\nlocation = \"127.0.0.1\"\ninsecure = true\n";
        for (name, text) in [("containers.conf", engine.as_str()), ("registries.conf", registries)] {
            let file = self.dir.join(name);
            fs::write(&file, text).map_err(Error::at(&file))?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.make == Make::Podman {
            self.thaw();
            let mut remove = self.command();
            remove.args(["rm", "--all", "--force", "--time", "0"]).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = remove.status();
            let mut prune = self.command();
            prune.args(["network", "prune", "--force"]).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = prune.status();
        }
        if let Some(mut running) = self.running.take() {
            let pid = Pid::from_child(&running.process);
            let _ = kill_process(pid, Signal::CONT);
            // Docker ends its containers, and the containerd that it began.
            let _ = kill_process(pid, Signal::TERM);
            let deadline = Instant::now() + END;
            while Instant::now() < deadline && !matches!(running.process.try_wait(), Ok(Some(_))) {
                sleep(PAUSE);
            }
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = running.process.wait();
            self.kill_containerd();
        }
        // The home goes with everything that is left.
    }
}
