//! The hosts and sockets of a URL.

use std::{error::Error, fmt, net::IpAddr, path::Path, time::Duration};

use tokio_postgres::Config;

use super::url::Parameters;

/// The folder of the server's socket where none is named: Debian's and Red Hat's, else PostgreSQL's own.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
/// The longest silence of the network before a connection counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// The limits of this program's calls at the server, for a client that vanished or is frozen in the middle: its locks
/// must not outlive it for long.
const SERVER_LIMITS: &str =
    "-c statement_timeout=8000 -c idle_in_transaction_session_timeout=8000 -c lock_timeout=2000";

/// A host that may give a connection.
pub(super) struct Host {
    /// For this host alone.
    pub(super) config: Config,
    name: String,
    address: Option<IpAddr>,
    port: u16,
}

impl Host {
    /// Returns whether the host is the folder of a socket.
    pub(super) fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with('/')
    }

    /// Returns whether the connection stays on this machine, as far as the URL tells.
    pub(super) fn is_local(&self) -> bool {
        match self.address.or_else(|| self.name.parse().ok()) {
            Some(address) => address.to_canonical().is_loopback(),
            None => self.is_socket() || self.name.eq_ignore_ascii_case("localhost"),
        }
    }

    fn new(base: &Config, name: &str, address: &str, port: &str) -> Result<Self, String> {
        let port = if port.is_empty() { "5432" } else { port };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or("a port is 1 to 65535")?;
        let address: Option<IpAddr> = match address {
            "" => None,
            text => Some(text.parse().map_err(|_| "hostaddr is an address, not a name")?),
        };
        let name = match (name, address) {
            ("", None) => default_socket().to_owned(),
            // TLS needs a name to ask for.
            ("", Some(address)) => address.to_string(),
            (name, _) => name.to_owned(),
        };
        let mut config = base.clone();
        config.host(&name).port(port);
        if let Some(address) = address {
            config.hostaddr(address);
        }
        Ok(Self { config, name, address, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// Every host of a URL, with what else it says.
pub(super) fn take(mut parameters: Parameters) -> Result<Vec<Host>, String> {
    let [names, addresses, ports] = ["host", "hostaddr", "port"].map(|name| parameters.take(name).unwrap_or_default());
    let [names, addresses, ports] = [&names, &addresses, &ports].map(|list| list.split(',').collect::<Vec<_>>());
    let count = names.len().max(addresses.len());
    let of = |list: &[&str], index: usize| match list {
        [""] => Some(String::new()),
        list => list.get(index).map(|text| (*text).to_owned()),
    };
    let base = base(parameters)?;
    (0..count)
        .map(|index| {
            let (name, address) = (of(&names, index), of(&addresses, index));
            // A single port is that of all.
            let port = if ports.len() == 1 { Some(ports[0].to_owned()) } else { of(&ports, index) };
            match (name, address, port) {
                (Some(name), Some(address), Some(port)) => Host::new(&base, &name, &address, &port),
                _ => Err("host, hostaddr and port name as many, separated by commas, or a single port".to_owned()),
            }
        })
        .collect()
}

/// Everything but where.
fn base(parameters: Parameters) -> Result<Config, String> {
    let config = parameters.into_words().parse::<Config>();
    let mut config = config.map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))?;
    config.application_name("agis").tcp_user_timeout(PATIENCE).keepalives_idle(PATIENCE).options(SERVER_LIMITS);
    Ok(config)
}

fn default_socket() -> &'static str {
    let [packaged, own] = SOCKETS;
    if Path::new(packaged).is_dir() { packaged } else { own }
}

#[cfg(test)]
mod tests {
    use super::{super::url, *};

    /// Each host, and whether it is on this machine.
    fn places(text: &str) -> Result<Vec<(String, bool)>, String> {
        let hosts = take(url::parse(text)?)?;
        Ok(hosts.iter().map(|host| (host.to_string(), host.is_local())).collect())
    }

    #[test]
    fn hosts_and_sockets_are_read_like_libpq() {
        let socket = default_socket();
        for (text, expected) in [
            ("postgres://localhost/agis", "localhost:5432 here"),
            ("postgresql://LocalHost:1", "LocalHost:1 here"),
            ("postgres://u:p@127.8.9.1:5433/agis", "127.8.9.1:5433 here"),
            ("postgres://[::1]/agis", "::1:5432 here"),
            ("postgres://[::1]:1/agis", "::1:1 here"),
            ("postgres://[::ffff:127.0.0.1]/agis", "::ffff:127.0.0.1:5432 here"),
            ("postgres://db.example/agis", "db.example:5432 away"),
            ("postgres://[2001:db8::1]:1/agis", "2001:db8::1:1 away"),
            ("postgres://localhost/agis?hostaddr=192.0.2.1", "localhost:5432 away"),
            ("postgres://db.example/agis?hostaddr=127.0.0.1", "db.example:5432 here"),
            ("postgres:///agis?hostaddr=192.0.2.1", "192.0.2.1:5432 away"),
            ("postgres://%2Frun%2Fpg/agis", "/run/pg:5432 here"),
            ("postgres://u@%2Frun%2Fpg:1/agis", "/run/pg:1 here"),
            ("postgres:///agis?host=/run/pg&port=1", "/run/pg:1 here"),
            ("postgres://db.example:1/agis?host=%2Frun%2Fpg", "/run/pg:1 here"),
            ("postgres:///agis", &format!("{socket}:5432 here")),
            ("postgres://", &format!("{socket}:5432 here")),
            ("postgres://u:p@:1/agis", &format!("{socket}:1 here")),
            ("postgres://a:1,b,[::2]:3/agis", "a:1 away b:5432 away ::2:3 away"),
            ("postgres://a,b/agis?port=1", "a:1 away b:1 away"),
            ("postgres:///agis?host=a,/run/pg&port=,2", "a:5432 away /run/pg:2 here"),
        ] {
            let said = |(host, local): &(String, bool)| format!("{host} {}", if *local { "here" } else { "away" });
            let found: Vec<_> = places(text).expect(text).iter().map(said).collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn non_url_is_refused_without_its_password() {
        for (text, why) in [
            ("mysql://u:hunter2@h", "is not a Postgres URL"),
            ("host=h password=hunter2", "is not a Postgres URL"),
            ("postgres://u:hunter2@h:port/agis", "a port is 1 to 65535"),
            ("postgres://u:hunter2@h:0/agis", "a port is 1 to 65535"),
            ("postgres://u:hunter2@h:65536/agis", "a port is 1 to 65535"),
            ("postgres://u:hunter2@[::1/agis", "an address of IPv6 is in brackets"),
            ("postgres://u:hunter2@[::1]5432/agis", "a colon and the port"),
            ("postgres://u:hunter2%ff@h/agis", "the password is not UTF-8"),
            ("postgres://u:hunter2@h/agis?sslmode", "name=value"),
            ("postgres://u:hunter2@h/agis?nothing=hunter2", "unknown option `nothing`"),
            ("postgres://u:hunter2@h/agis?a'b=hunter2", "small letters"),
            ("postgres://u:hunter2@h/agis?hostaddr=h", "hostaddr is an address"),
            ("postgres://u:hunter2@a,b,c/agis?port=1,2", "name as many"),
        ] {
            let told = places(text).expect_err(text);
            assert!(told.contains(why) && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn percent_encoding_is_optional() {
        for (text, user, password, database) in [
            ("postgres://u:p@h/agis", "u", "p", "agis"),
            ("postgres://u%40x:p%2Fq%3F%27%5C%20@h/a%20b", "u@x", "p/q?'\\ ", "a b"),
            ("postgres://u:p@q/r:s@h/agis", "u", "p@q/r:s", "agis"),
            ("postgres://h/agis?user=u&password=p@q", "u", "p@q", "agis"),
            ("postgres://h/agis?user=u&password=p&dbname=other", "u", "p", "other"),
        ] {
            let hosts = take(url::parse(text).expect(text)).expect(text);
            let config = &hosts[0].config;
            assert_eq!(config.get_user(), Some(user), "{text}");
            assert_eq!(config.get_password(), Some(password.as_bytes()), "{text}");
            assert_eq!(config.get_dbname(), Some(database), "{text}");
        }
    }
}
