use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::layout::Layout;
use super::server::{Programs, Server, stop_leftover};
use super::{Durability, Options, binaries, port};
use crate::account::Account;
use crate::certificates::ServerTls;
use crate::error::{Error, Result};
use crate::sql;

const SUPERUSER: &str = "agis";
/// Another process may take a free port between the look and the bind.
const PORT_TRIES: u32 = 5;

/// A private PostgreSQL cluster on a port of 127.0.0.1, stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    // Before the rest: the server stops first.
    server: Option<Server>,
    programs: Programs,
    layout: Layout,
    options: Options,
    port: u16,
    password: String,
}

impl Cluster {
    /// Finds or fetches PostgreSQL, sets the cluster up where it is new, and starts it.
    pub fn start(options: Options) -> Result<Self> {
        let account = Account::unprivileged()?;
        let bin = binaries::find(&account, options.downloads.as_deref())?;
        let programs = Programs { bin, account, env: options.env.clone() };
        let layout = Layout::prepare(&options, &account)?;
        // From here on a throw-away folder goes with the value, also when a step fails.
        let mut cluster = Self { server: None, programs, layout, options, port: 0, password: String::new() };
        cluster.bring_up()?;
        Ok(cluster)
    }

    fn bring_up(&mut self) -> Result<()> {
        stop_leftover(&self.layout.data())?;
        self.layout.clear_log()?;
        if !self.layout.data().join("PG_VERSION").is_file() {
            self.initialise()?;
        }
        self.write_files()?;
        self.password = self.layout.password()?;
        self.port = self.start_on_a_free_port()?;
        self.layout.keep_port(self.port)
    }

    /// The URL of one of its databases; `postgres` always exists.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of its superuser, who is named in [`Cluster::url`].
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The folder of its socket, where it has one.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.layout.dir()
    }

    /// The folder with the PostgreSQL programs in use.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.programs.bin
    }

    /// Creates a database unless it exists.
    pub fn create_database(&self, name: &str) -> Result<()> {
        sql::execute(&self.url("postgres"), &format!("CREATE DATABASE {name}"))
    }

    /// A fast shutdown: clients are disconnected. The data stays until the cluster is dropped.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Stops the server if it runs, and starts it again on the same port.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.server = Some(self.launch(self.port)?);
        Ok(())
    }

    /// Shows another certificate from now on.
    pub fn show(&mut self, tls: ServerTls) -> Result<()> {
        self.options.tls = Some(tls);
        self.write_files()?;
        self.restart()
    }

    fn write_files(&self) -> Result<()> {
        let create = |name, content: &str| self.layout.create(name, content, &self.programs.account);
        if let Some(lines) = self.options.access {
            create("access", lines)?;
        }
        let Some(tls) = &self.options.tls else { return Ok(()) };
        create("certificate", &tls.shown.certificate)?;
        create("key", &tls.shown.key)?;
        tls.clients.as_ref().map_or(Ok(()), |ca| create("clients", ca))
    }

    fn start_on_a_free_port(&mut self) -> Result<u16> {
        let mut tries = 1;
        let mut wanted = self.layout.last_port().filter(|port| port::is_free(*port));
        loop {
            let port = wanted.take().map_or_else(port::free, Ok)?;
            match self.launch(port) {
                Ok(server) => {
                    self.server = Some(server);
                    return Ok(port);
                }
                Err(_) if tries < PORT_TRIES && !port::is_free(port) => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn launch(&self, port: u16) -> Result<Server> {
        let mut server = Server::start(&self.programs, &self.layout, port, &self.settings())?;
        let remove = self.is_throwaway().then(|| self.layout.dir());
        server.tie(&self.programs, &self.layout, remove)?;
        Ok(server)
    }

    fn settings(&self) -> Vec<String> {
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            "timezone=UTC".to_owned(),
            format!("max_connections={}", self.options.max_connections),
        ];
        let file = |setting: &str, name: &str| format!("{setting}={}", self.layout.dir().join(name).display());
        settings.push(match self.options.socket {
            true => file("unix_socket_directories", ""),
            false => "unix_socket_directories=".to_owned(),
        });
        settings.extend(self.options.access.map(|_| file("hba_file", "access")));
        if let Some(tls) = &self.options.tls {
            settings.extend(["ssl=on".to_owned(), file("ssl_cert_file", "certificate"), file("ssl_key_file", "key")]);
            settings.extend(tls.clients.as_ref().map(|_| file("ssl_ca_file", "clients")));
        }
        if self.is_throwaway() {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
            // DROP DATABASE waits for every connection that has not said its password yet, and CREATE DATABASE behind it. A
            // test that cuts a network leaves such a connection for as long as this.
            settings.push("authentication_timeout=10s".to_owned());
        }
        settings
    }

    fn is_throwaway(&self) -> bool {
        self.options.durability == Durability::Throwaway
    }

    /// Sets the cluster up beside its place and moves it there whole, so that a killed attempt leaves no half.
    fn initialise(&self) -> Result<()> {
        self.layout.create_password(&self.programs.account)?;
        let partial = self.layout.dir().join("data.partial");
        remove(&partial)?;
        let mut initdb = self.programs.command("initdb", &self.layout);
        initdb.arg("-D").arg(&partial).arg("--pwfile").arg(self.layout.password_file());
        // Only whoever can read our files gets in, also on a machine with other users. The password never leaves
        // the loopback device, and SCRAM would cost an unoptimised client 100 ms a connection.
        initdb.args(["--username", SUPERUSER, "--auth", "password", "--encoding", "UTF8", "--locale", "C"]);
        if self.is_throwaway() {
            initdb.arg("--no-sync");
        }
        let output = initdb.stdout(Stdio::null()).output();
        let output = output.map_err(|error| Error::new(format!("cannot run initdb: {error}")))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(format!("initdb failed ({}):\n{}", output.status, errors.trim())));
        }
        let data = self.layout.data();
        remove(&data)?;
        fs::rename(&partial, &data).map_err(Error::at(&data))
    }

    /// Removes the cluster in `dir` with all its data, after stopping what an earlier, killed run left of it.
    pub fn remove(dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        stop_leftover(&dir.join("data"))?;
        remove(dir)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        if self.is_throwaway() {
            let _ = fs::remove_dir_all(self.layout.dir());
        }
    }
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at(dir)(error)),
        _ => Ok(()),
    }
}
