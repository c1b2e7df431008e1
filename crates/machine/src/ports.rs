//! Claims of ports. A claim is a file with the server's id, so the claim outlives every program, and no two programs
//! can make the same one.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{TcpListener, UdpSocket},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use agis_base::ServerId;
use agis_servers::{
    game::{GamePort, Protocol},
    host::{HostError, OpenPort},
};

use crate::ready;

/// Number of places above a game's own ports that are tried.
const RANGE: u16 = 1000;
/// Longest wait for a port that a server keeps.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause between two looks at a port.
const PAUSE: Duration = Duration::from_millis(20);

/// Claims of ports on this machine.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Directory of the claims.
    pub dir: PathBuf,
    /// Address on which games listen.
    pub bind: String,
}

impl Ports {
    /// Claims the ports of a server together. A server that had a first port keeps it; another gets the first place from
    /// the game's own ports upwards where all are free. The caller holds the server's gate.
    pub fn claim(&self, server: ServerId, had: Option<u16>, ports: &[GamePort]) -> Result<Vec<OpenPort>, HostError> {
        match had {
            Some(first) => self.keep(server, first, ports),
            None => self.find(server, ports),
        }
    }

    /// Releases a port if this server holds it.
    pub fn release(&self, server: ServerId, port: u16) -> io::Result<()> {
        if self.holder(port)? == Some(server) { fs::remove_file(self.file(port)) } else { Ok(()) }
    }

    fn keep(&self, server: ServerId, first: u16, ports: &[GamePort]) -> Result<Vec<OpenPort>, HostError> {
        let kept = moved(ports, i32::from(first) - i32::from(ports.first().map_or(first, |port| port.number)))
            .ok_or_else(|| HostError::Failed(format!("the ports of this game do not fit above port {first}")))?;
        for OpenPort { name, port, protocol } in &kept {
            if !self.claim_one(server, *port).map_err(|error| unclaimed(*port, &error))? {
                let by = match self.holder(*port).map_err(|error| unclaimed(*port, &error))? {
                    Some(other) => format!("server {other}"),
                    None => "another server".to_owned(),
                };
                return Err(HostError::Failed(format!(
                    "port {port} ({name}) of this server belongs to {by}; an operator can choose another port or offset \
                     in the catalogue, or delete one of the two servers"
                )));
            }
            // A game opens at least this one. A passing socket of the other protocol must not hold up a restart.
            let protocol = protocol.unwrap_or_default();
            if !self.gets_free(*port, protocol) {
                let listener = ready::listener(*port, protocol);
                if let Some(holder) = listener.as_ref().filter(|listener| listener.is_a_sibling()) {
                    return Err(HostError::Unavailable(format!(
                        "the gate of this server still has port {port} ({name}): {holder} does not answer, or has lost its \
                         database"
                    )));
                }
                let by = listener.map_or_else(|| "another program".to_owned(), |listener| listener.to_string());
                return Err(HostError::Failed(format!(
                    "port {port} ({name}) of this server is taken by {by}; end that program, and start the server again"
                )));
            }
        }
        Ok(kept)
    }

    fn find(&self, server: ServerId, ports: &[GamePort]) -> Result<Vec<OpenPort>, HostError> {
        let taken =
            self.taken().map_err(|error| HostError::Unavailable(format!("reading claims of ports: {error}")))?;
        for found in (0..RANGE).map_while(|place| moved(ports, place.into())) {
            let numbers: BTreeSet<_> = found.iter().map(|port| port.port).collect();
            // Some of these may be the server's own, from a start that was cut short.
            let is_anothers = |port: &u16| taken.contains(port) && self.holder(*port).ok().flatten() != Some(server);
            if !numbers.iter().any(is_anothers) && self.claim_all(server, &numbers)? {
                return Ok(found);
            }
        }
        let first = ports.first().map_or(0, |port| port.number);
        Err(HostError::Unavailable(format!("no ports are free from {first} upwards ({RANGE} places tried)")))
    }

    /// Claims all ports or none, and returns whether the server holds them now.
    fn claim_all(&self, server: ServerId, ports: &BTreeSet<u16>) -> Result<bool, HostError> {
        for (done, port) in ports.iter().enumerate() {
            let wrong = |error| unclaimed(*port, &error);
            // Games often speak TCP and UDP on one port, so both must be free.
            let is_ours = self.claim_one(server, *port).map_err(wrong)?;
            if !is_ours || !Protocol::ALL.iter().all(|protocol| self.is_free(*port, *protocol)) {
                for claimed in ports.iter().take(done + 1) {
                    self.release(server, *claimed).map_err(wrong)?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Claims a port for the server, and returns whether the server holds it now. A link makes the claim and its
    /// content appear together.
    fn claim_one(&self, server: ServerId, port: u16) -> io::Result<bool> {
        let fresh = self.dir.join(format!("of-{server}"));
        fs::write(&fresh, server.to_string())?;
        let linked = fs::hard_link(&fresh, self.file(port));
        fs::remove_file(&fresh)?;
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(self.holder(port)? == Some(server)),
            Err(error) => Err(error),
        }
    }

    /// Returns the ports that servers hold.
    fn taken(&self) -> io::Result<BTreeSet<u16>> {
        let names =
            fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.file_name().to_str().and_then(|it| it.parse().ok())));
        names.filter_map(Result::transpose).collect()
    }

    fn holder(&self, port: u16) -> io::Result<Option<ServerId>> {
        match fs::read_to_string(self.file(port)) {
            Ok(text) => Ok(text.parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits a moment until a port is free: the gate of a server that slept closes when its start is accepted.
    fn gets_free(&self, port: u16, protocol: Protocol) -> bool {
        let began = Instant::now();
        while !self.is_free(port, protocol) {
            if began.elapsed() >= PATIENCE {
                return false;
            }
            thread::sleep(PAUSE);
        }
        true
    }

    fn is_free(&self, port: u16, protocol: Protocol) -> bool {
        let address = (self.bind.as_str(), port);
        match protocol {
            Protocol::Tcp => TcpListener::bind(address).is_ok(),
            Protocol::Udp => UdpSocket::bind(address).is_ok(),
        }
    }

    fn file(&self, port: u16) -> PathBuf {
        self.dir.join(port.to_string())
    }
}

fn unclaimed(port: u16, error: &io::Error) -> HostError {
    HostError::Unavailable(format!("claiming port {port}: {error}"))
}

/// Returns the ports, all moved by as much; `None` if one is no port then.
fn moved(ports: &[GamePort], by: i32) -> Option<Vec<OpenPort>> {
    let moved = ports.iter().map(|GamePort { name, number, protocol }| {
        let port = u16::try_from(i32::from(*number) + by).ok().filter(|port| *port > 0)?;
        Some(OpenPort { name: name.clone(), port, protocol: Some(*protocol) })
    });
    moved.collect()
}
