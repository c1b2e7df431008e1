//! Looks at the sockets of this machine's network: whether players can join, and who listens.

use std::{fmt, fs, path::Path};

use agis_servers::game::Protocol;

/// Checks whether a process of this machine's network listens on the port. Sends nothing to the game, since some games
/// count a connection as a player.
pub fn is_open(port: u16, protocol: Protocol) -> bool {
    socket(port, protocol).is_some()
}

/// Checks whether a process listens on the port in the network of process `pid`, which a container has of its own. False if
/// that process has ended.
pub fn is_open_to(pid: i32, port: u16, protocol: Protocol) -> bool {
    socket_of(&pid.to_string(), port, protocol).is_some()
}

/// Program that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name that the process has chosen, without control characters.
    pub name: String,
    /// Number of the process.
    pub pid: u32,
}

impl Listener {
    /// Returns whether it is another process of our own program.
    pub fn is_a_sibling(&self) -> bool {
        self.pid != std::process::id() && name_of(Path::new("/proc/self")).as_deref() == Some(&self.name)
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program '{}' (process {})", self.name, self.pid)
    }
}

/// Returns the name of a process.
fn name_of(process: &Path) -> Option<String> {
    Some(fs::read_to_string(process.join("comm")).ok()?.trim().replace(char::is_control, "?"))
}

/// Returns the program that listens on the port; `None` if this process may not see it.
pub fn listener(port: u16, protocol: Protocol) -> Option<Listener> {
    let socket = format!("socket:[{}]", socket(port, protocol)?);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let has_socket = |process: &fs::DirEntry| {
        let mut open = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        open.any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|it| it.to_str() == Some(&socket)))
    };
    let is_process = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let process = processes.into_iter().filter(is_process).find(has_socket)?;
    Some(Listener { name: name_of(&process.path())?, pid: process.file_name().to_str()?.parse().ok()? })
}

/// Returns the inode of a socket that listens on the port.
fn socket(port: u16, protocol: Protocol) -> Option<String> {
    socket_of("self", port, protocol)
}

fn socket_of(process: &str, port: u16, protocol: Protocol) -> Option<String> {
    let (tables, state) = match protocol {
        Protocol::Tcp => (["tcp", "tcp6"], Some("0A")),
        Protocol::Udp => (["udp", "udp6"], None),
    };
    let read = |table: &&str| fs::read_to_string(format!("/proc/{process}/net/{table}")).ok();
    tables.iter().filter_map(read).find_map(|text| find(&text, port, state).map(str::to_owned))
}

/// Finds the port in the text of `/proc/net/tcp` (proc(5)). A heading comes first. Each line holds a number, the local
/// address and port in hexadecimal, the remote ones, the state (0A is LISTEN), and as its tenth field the inode.
fn find<'a>(table: &'a str, port: u16, state: Option<&str>) -> Option<&'a str> {
    let ending = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().take(10).collect();
        let is_it = fields.len() == 10 && fields[1].ends_with(&ending) && state.is_none_or(|state| fields[3] == state);
        is_it.then(|| fields[9])
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn a_listener_is_seen_by_its_protocol_only() {
        for listener in [TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), TcpListener::bind((Ipv6Addr::LOCALHOST, 0))] {
            let Ok(listener) = listener else { continue };
            let port = listener.local_addr().expect("an address").port();
            assert!(is_open(port, Protocol::Tcp));
            assert!(!is_open(port, Protocol::Udp));
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        assert!(is_open(socket.local_addr().expect("an address").port(), Protocol::Udp));
    }

    #[test]
    fn a_connection_is_not_a_listener() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        assert!(!is_open(client.local_addr().expect("an address").port(), Protocol::Tcp));
    }
}
