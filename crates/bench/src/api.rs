//! The real `agis-api`, and the process that serves the baselines.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    error::{Error, Result},
    process::Running,
};

/// Connections to the database, of `agis-api` and of the baseline's pool.
pub(crate) const CONNECTIONS: usize = 10;

/// A server under load.
pub(crate) struct Server {
    process: Running,
    /// `127.0.0.1:port`
    pub(crate) address: String,
}

impl Server {
    /// Starts `agis-api` with its defaults and waits until it listens. Its log goes where a log goes: through a pipe, to a
    /// reader that keeps up.
    pub(crate) fn api(program: &Path, database: &str, data_dir: &Path) -> Result<Self> {
        let mut child = command(program, database, data_dir).arg("serve").stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take();
        let process = Running(child);
        let mut lines = BufReader::new(stderr.ok_or_else(|| Error::new("no pipe"))?).lines();
        let mut said = String::new();
        let address = loop {
            let Some(line) = lines.next() else { return Err(Error::new(format!("agis-api ended: {said}"))) };
            let line = line?;
            let fields: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if fields["message"] == "API server listening" {
                break fields["address"].as_str().unwrap_or_default().to_owned();
            }
            said += &line;
        };
        std::thread::spawn(move || lines.map_while(std::io::Result::ok).for_each(drop));
        Ok(Self { process, address })
    }

    /// Starts the baselines.
    pub(crate) fn baseline(database: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["baseline", "--database", database])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let process = Running(child);
        let mut address = String::new();
        BufReader::new(stdout.ok_or_else(|| Error::new("no pipe"))?).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The status and the size of the body of one answer.
    pub(crate) fn get(&self, path: &str, key: &str) -> Result<(u16, usize)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let unreadable = || Error::new(format!("{path} answers: {answer}"));
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(unreadable)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(unreadable)?;
        Ok((status, body.len()))
    }
}

/// Migrates the database.
pub(crate) fn migrate(program: &Path, database: &str, data_dir: &Path) -> Result {
    let status = command(program, database, data_dir).args(["migrate", "up"]).status()?;
    if status.success() { Ok(()) } else { Err(Error::new("agis-api cannot migrate the database")) }
}

fn command(program: &Path, database: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("DATABASE_URL", database)
        .env("DATABASE_CONNECTIONS", CONNECTIONS.to_string())
        .env("AGIS_DATA_DIR", data_dir)
        .env("AGIS_HOST_NAME", "bench")
        .env("BIND_ADDRESS", "127.0.0.1")
        .env("API_PORT", "0")
        .env("METRICS_PORT", "0")
        .env("LOG_FORMAT", "json")
        .stdin(Stdio::null());
    command
}
