//! The one place that makes connections: for the pool, the shared readers, the listener and the migrations.
//!
//! A URL means what it means to libpq: `url` reads its form, `hosts` its hosts and sockets, `mode` how much TLS is asked
//! for. Unlike libpq, no file is looked for that the URL does not name, and what is not said of a server on this machine
//! is not asked of it.

mod failure;
mod hosts;
mod mode;
mod url;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agis_tls::Client as Tls;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use tokio_postgres::{
    Client, Connection, Socket,
    config::{LoadBalanceHosts, SslMode},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::{failure::Failure, hosts::Host, mode::Mode};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection's other half: nothing moves but while it is polled.
pub(crate) type Line = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// The way to the database, with its password, so it cannot be printed.
///
/// The default leads nowhere: it stands in for a URL that could not be read, until that is told.
#[derive(Clone, Default)]
pub struct DatabaseUrl(Option<Arc<Inner>>);

struct Inner {
    /// In the order in which they are tried.
    hosts: Vec<Host>,
    /// How much TLS the URL asks for, if it says.
    mode: Option<Mode>,
    tls: Tls,
    connector: MakeRustlsConnect,
    /// How the latest connection goes.
    latest: Mutex<Option<Transport>>,
}

/// How a connection goes to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Over a socket or the loopback device of this machine, without TLS.
    Local,
    /// Over TLS, to a server whose certificate is trusted.
    Trusted,
    /// Over TLS, to a server whose certificate nobody has looked at.
    Unchecked,
    /// In the clear, and why.
    Open(String),
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("none: the server is on this machine"),
            Self::Trusted => f.write_str("on"),
            Self::Unchecked => f.write_str("on; the server's certificate is not checked"),
            Self::Open(why) => write!(f, "off: {why}"),
        }
    }
}

impl DatabaseUrl {
    /// Reads a URL in libpq's form, and the files that it names.
    ///
    /// # Errors
    /// All that is wrong with it; without the password.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut parameters = url::parse(text).map_err(|why| vec![why])?;
        let tls = mode::take(&mut parameters);
        let hosts = hosts::take(parameters);
        match (tls, hosts) {
            (Ok((mode, tls)), Ok(hosts)) => Ok(Self::new(hosts, mode, tls)),
            (tls, hosts) => Err(tls.err().into_iter().flatten().chain(hosts.err()).collect()),
        }
    }

    fn new(hosts: Vec<Host>, mode: Option<Mode>, tls: Tls) -> Self {
        let mut config = (*tls.config()).clone();
        // As libpq does; a server that TLS is begun with directly (sslnegotiation=direct) asks for it.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        let connector = MakeRustlsConnect::new(config);
        Self(Some(Arc::new(Inner { hosts, mode, tls, connector, latest: Mutex::default() })))
    }

    /// How the latest connection goes to the server; none before the first.
    pub fn transport(&self) -> Option<Transport> {
        self.0.as_ref()?.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection with this program's limits.
    pub(crate) async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        let (client, line) = self.open().await?;
        AsyncPgConnection::try_from_client_and_connection(client, line).await
    }

    /// The same without diesel's part. Nothing moves on it but while the line is polled.
    pub(crate) async fn open(&self) -> ConnectionResult<(Client, Line)> {
        let Some(inner) = &self.0 else {
            return Err(ConnectionError::BadConnection("there is no database".to_owned()));
        };
        let opened = tokio::time::timeout(CONNECT, inner.open()).await;
        let opened = opened.unwrap_or_else(|_| Err(format!("no answer within {} s", CONNECT.as_secs())));
        opened.map_err(ConnectionError::BadConnection)
    }
}

impl Inner {
    /// A connection to the first host that gives one.
    async fn open(&self) -> Result<(Client, Line), String> {
        let mut failed = vec![];
        for host in self.in_turn() {
            match self.to(host).await {
                Ok((client, line, transport)) => {
                    self.note(host, transport);
                    return Ok((client, line));
                }
                Err(failure) => failed.push((host, failure.why)),
            }
        }
        Err(match &*failed {
            [(_, why)] => why.clone(),
            several => several.iter().map(|(host, why)| format!("{host}: {why}")).collect::<Vec<_>>().join("; "),
        })
    }

    fn in_turn(&self) -> Vec<&Host> {
        let mut hosts: Vec<_> = self.hosts.iter().collect();
        if self.hosts.iter().any(|host| host.config.get_load_balance_hosts() == LoadBalanceHosts::Random) {
            hosts.sort_by_cached_key(|_| RandomState::new().hash_one(0));
        }
        hosts
    }

    fn mode(&self, host: &Host) -> Mode {
        match self.mode {
            // TLS is not spoken over sockets, as libpq has it.
            _ if host.is_socket() => Mode::Disable,
            Some(mode) => mode,
            None if host.is_local() => Mode::Disable,
            None => Mode::Prefer,
        }
    }

    async fn to(&self, host: &Host) -> Result<(Client, Line, Transport), Failure> {
        match self.mode(host) {
            Mode::Disable => self.in_the_clear(host, "sslmode=disable").await,
            Mode::Prefer => match self.over_tls(host).await {
                Err(tls) if tls.clear_may_do => {
                    self.in_the_clear(host, &tls.why).await.map_err(|clear| clear.after(&tls))
                }
                done => done,
            },
            mode => self.over_tls(host).await.map_err(|failure| failure.under(mode)),
        }
    }

    async fn over_tls(&self, host: &Host) -> Result<(Client, Line, Transport), Failure> {
        let transport = if self.tls.is_checking() { Transport::Trusted } else { Transport::Unchecked };
        let (client, line) = self.by(host, SslMode::Require).await?;
        Ok((client, line, transport))
    }

    async fn in_the_clear(&self, host: &Host, why: &str) -> Result<(Client, Line, Transport), Failure> {
        let transport = if host.is_local() { Transport::Local } else { Transport::Open(why.to_owned()) };
        let (client, line) = self.by(host, SslMode::Disable).await?;
        Ok((client, line, transport))
    }

    async fn by(&self, host: &Host, mode: SslMode) -> Result<(Client, Line), Failure> {
        let mut config = host.config.clone();
        config.ssl_mode(mode).connect_timeout(CONNECT);
        config.connect(self.connector.clone()).await.map_err(|error| Failure::new(&self.tls, &error))
    }

    /// Keeps how the latest connection goes, and tells when one goes in the clear that did not.
    fn note(&self, host: &Host, transport: Transport) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.as_ref() != Some(&transport) {
            if let Transport::Open(why) = &transport {
                tracing::warn!(%host, why, "database connection has no TLS");
            }
            *latest = Some(transport);
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_preferred_except_on_this_machine() {
        for (text, expected) in [
            ("postgres://db.example/agis", Mode::Prefer),
            ("postgres://localhost/agis", Mode::Disable),
            ("postgres://127.0.0.1/agis", Mode::Disable),
            ("postgres:///agis?host=/run/pg", Mode::Disable),
            ("postgres://db.example/agis?sslmode=disable", Mode::Disable),
            ("postgres://localhost/agis?sslmode=prefer", Mode::Prefer),
            ("postgres://localhost/agis?sslmode=require", Mode::Require),
            ("postgres://localhost/agis?ssl=true", Mode::Require),
            ("postgres:///agis?host=/run/pg&sslmode=require", Mode::Disable),
            ("postgres://localhost/agis?sslrootcert=system", Mode::VerifyFull),
            // Then no file is read.
            ("postgres://db.example/agis?sslmode=disable&sslrootcert=/nowhere", Mode::Disable),
        ] {
            let inner = DatabaseUrl::parse(text).expect(text).0.expect(text);
            assert_eq!(inner.mode(&inner.hosts[0]), expected, "{text}");
        }
    }

    #[test]
    fn all_tls_mistakes_are_told_by_name() {
        for (said, expected) in [
            ("sslmode=maybe", &["sslmode=maybe: is one of: disable, prefer, require, verify-ca, verify-full"][..]),
            ("sslmode=allow", &["sslmode=allow: is one of"]),
            ("sslmode=verify-full", &["sslmode=verify-full: needs sslrootcert"]),
            ("sslmode=require&sslrootcert=system", &["sslrootcert=system: needs sslmode=verify-full, not require"]),
            ("sslmode=verify-ca&sslcert=/nowhere", &["sslmode=verify-ca: needs", "sslcert=/nowhere: needs sslkey too"]),
            (
                "sslrootcert=/no/ca&sslcert=/no/cert&sslkey=/no/key&port=0",
                &["sslrootcert=/no/ca: No such", "sslcert=/no/cert: No such", "sslkey=/no/key: No such", "a port is"],
            ),
        ] {
            let told = DatabaseUrl::parse(&format!("postgres://u:hunter2@h/agis?{said}")).expect_err(said);
            assert_eq!(told.len(), expected.len(), "{said}: {told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.contains(expected) && !told.contains("hunter2"), "{said}: {told}");
            }
        }
    }

    #[test]
    fn a_url_is_not_printed() {
        let url = DatabaseUrl::parse("postgres://u:hunter2@h/agis").expect("a URL");
        assert_eq!(format!("{url:?}"), "DatabaseUrl(…)");
    }
}
