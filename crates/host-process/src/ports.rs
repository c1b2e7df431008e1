//! Claims of ports. A claim is a file with the server's id, so the claim outlives every program, and no two programs
//! can make the same one.

use std::{
    fs, io,
    net::{TcpListener, UdpSocket},
    path::PathBuf,
};

use agis_base::ServerId;
use agis_servers::host::HostError;

/// Number of ports above a game's own port that are tried.
const RANGE: usize = 1000;

/// Claims of ports on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    pub(crate) dir: PathBuf,
    /// Address on which games listen.
    pub(crate) bind: String,
}

impl Ports {
    /// Claims the port that the server had if nobody else listens on it now, otherwise the next free one from `from`
    /// upwards. The caller holds the server's gate.
    pub(crate) fn claim(&self, server: ServerId, had: Option<u16>, from: u16) -> Result<u16, HostError> {
        for port in had.into_iter().chain((from..=u16::MAX).take(RANGE)) {
            let wrong = |error| HostError::Unavailable(format!("claiming port {port}: {error}"));
            if !self.claim_one(server, port).map_err(wrong)? {
                continue;
            }
            if self.is_free(port) {
                return Ok(port);
            }
            self.release(server, port).map_err(wrong)?;
        }
        Err(HostError::Unavailable(format!("no port is free from {from} upwards ({RANGE} tried)")))
    }

    /// Releases a port if this server holds it.
    pub(crate) fn release(&self, server: ServerId, port: u16) -> io::Result<()> {
        if self.holder(port)? == Some(server) { fs::remove_file(self.file(port)) } else { Ok(()) }
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

    fn holder(&self, port: u16) -> io::Result<Option<ServerId>> {
        match fs::read_to_string(self.file(port)) {
            Ok(text) => Ok(text.parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Games often speak TCP and UDP on one port, so both must be free.
    fn is_free(&self, port: u16) -> bool {
        let address = (self.bind.as_str(), port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    }

    fn file(&self, port: u16) -> PathBuf {
        self.dir.join(port.to_string())
    }
}
