//! Address of a container engine.

use std::{fmt, path::PathBuf, str::FromStr};

/// Address of a container engine on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Path of a socket.
    Socket(PathBuf),
    /// Host and port on the loopback interface. Whoever can connect controls the machine.
    Tcp(String),
}

impl FromStr for Address {
    type Err = String;

    /// Parses a value of `DOCKER_HOST` or `CONTAINER_HOST`.
    fn from_str(text: &str) -> Result<Self, String> {
        let of_socket = text.strip_prefix("unix://").or_else(|| text.starts_with('/').then_some(text));
        if let Some(path) = of_socket.filter(|path| path.starts_with('/')) {
            return Ok(Self::Socket(path.into()));
        }
        let tcp = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://"));
        let tcp = tcp.map(|it| it.trim_end_matches('/')).filter(|it| {
            let host = it.rsplit_once(':').map_or("", |(host, _)| host);
            matches!(host, "127.0.0.1" | "localhost" | "[::1]")
        });
        tcp.map(|it| Self::Tcp(it.to_owned())).ok_or_else(|| {
            "is the engine of this machine, as unix:///run/docker.sock or tcp://127.0.0.1:2375, since worlds are directories \
             of this machine"
                .to_owned()
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// Returns the usual sockets that this account may open: Docker's and Podman's for root, then those of this account.
pub(crate) fn usual() -> Vec<Address> {
    let uid = rustix::process::getuid().as_raw();
    let for_all = ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
    let own = ["docker.sock", "podman/podman.sock"].map(|it| PathBuf::from(format!("/run/user/{uid}")).join(it));
    let usable = |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    for_all.into_iter().chain(own).filter(usable).map(Address::Socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_engines_of_this_machine_are_taken() {
        assert_eq!("unix:///run/docker.sock".parse(), Ok(Address::Socket("/run/docker.sock".into())));
        assert_eq!("/run/podman.sock".parse(), Ok(Address::Socket("/run/podman.sock".into())));
        assert_eq!("tcp://127.0.0.1:2375/".parse(), Ok(Address::Tcp("127.0.0.1:2375".to_owned())));
        for other in ["tcp://192.0.2.1:2375", "ssh://me@there", "docker.sock", "unix://docker.sock", "", "tcp://x"] {
            assert!(other.parse::<Address>().is_err(), "{other}");
        }
    }
}
