//! Address of Redis.

use std::fmt;

use agis_tls::{Client as Tls, Fault, Identity, Trust, Words};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, RedisError, aio::MultiplexedConnection};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::link::Error;

const WORDS: Words = Words { ca: "REDIS_CA_FILE", certificate: "REDIS_CERT_FILE", key: "REDIS_KEY_FILE" };

/// Address of Redis with its password, so the type cannot be printed.
#[derive(Clone)]
pub struct RedisUrl {
    client: Client,
    tls: Option<Tls>,
}

/// Files of a connection over TLS.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'a> {
    /// Certificates of authorities for Redis' certificate; `None` trusts the machine's.
    pub ca: Option<&'a str>,
    /// Certificate that we show to Redis.
    pub certificate: Option<&'a str>,
    /// Key of that certificate.
    pub key: Option<&'a str>,
}

/// Reason why the settings lead to no Redis.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// The URL is invalid. The error does not repeat it, for its password.
    #[error("REDIS_URL=…: {0}")]
    Form(&'static str),
    /// Another setting is invalid.
    #[error("{0}")]
    File(Fault),
}

impl RedisUrl {
    /// Reads `redis://user:password@host:port/number`, or `rediss://` for TLS, and the files.
    ///
    /// # Errors
    /// Returns all faults of the settings.
    pub fn new(text: &str, files: Files<'_>) -> Result<Self, Vec<UrlError>> {
        let form = |why| vec![UrlError::Form(why)];
        let secret = ["rediss://", "valkeys://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let plain = secret.map_or_else(|| text.to_owned(), |rest| format!("redis://{rest}"));
        let client = Client::open(plain);
        let client = client.map_err(|_| form("is redis://user:password@host:port/number, or rediss:// for TLS"))?;
        if secret.is_none() {
            return without_tls(files).map(|()| Self { client, tls: None });
        }
        if text.contains('#') {
            return Err(form("has no #: what comes to rediss:// is always checked; name the CA in REDIS_CA_FILE"));
        }
        let identity = Identity { certificate: files.certificate, key: files.key };
        let tls = Tls::new(WORDS, Trust::Named(files.ca.unwrap_or(Tls::SYSTEM)), identity);
        let tls = tls.map_err(|faults| faults.into_iter().map(UrlError::File).collect::<Vec<_>>())?;
        Ok(Self { client, tls: Some(tls) })
    }

    /// Opens a new connection. Its calls have no deadline of their own.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection, Error> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let Some(tls) = &self.tls else {
            return Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?);
        };
        let info = self.client.get_connection_info();
        let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err(Error::Tls("needs a host".to_owned())) };
        let failed = |error: std::io::Error| match tls.explain(&error) {
            Some(why) => Error::Tls(why),
            None => Error::Redis(error.into()),
        };
        let name = ServerName::try_from(host.clone()).map_err(|error| Error::Tls(format!("{host}: {error}")))?;
        let stream = TcpStream::connect((&**host, *port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let stream = TlsConnector::from(tls.config()).connect(name, stream).await.map_err(failed)?;
        let made = MultiplexedConnection::new_with_config(info.redis_settings(), stream, config).await;
        let (connection, line) = made.map_err(|error| self.explained(error))?;
        tokio::spawn(line);
        Ok(connection)
    }

    /// A server may refuse our certificate only after the handshake, at the first command.
    pub(crate) fn explained(&self, error: RedisError) -> Error {
        let why = self.tls.as_ref().and_then(|tls| tls.explain(&error));
        why.map_or(Error::Redis(error), Error::Tls)
    }
}

fn without_tls(files: Files<'_>) -> Result<(), Vec<UrlError>> {
    let settings = [(WORDS.ca, files.ca), (WORDS.certificate, files.certificate), (WORDS.key, files.key)];
    let given = settings.into_iter().filter_map(|(setting, file)| Some((setting, file?.to_owned())));
    let why = "is for a REDIS_URL that begins with rediss://";
    let faults: Vec<_> =
        given.map(|(setting, value)| UrlError::File(Fault { setting, value, why: why.to_owned() })).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RedisUrl, Vec<UrlError>> {
        RedisUrl::new(text, Files::default())
    }

    #[test]
    fn secrets_are_never_printed() {
        for right in ["redis://:hunter2@localhost:6379/3", "rediss://:hunter2@localhost:6379/3"] {
            assert!(!format!("{:?}", read(right).expect("a URL")).contains("hunter2"));
        }
        for wrong in [
            "hunter2",
            "http://:hunter2@host",
            "redis://:hunter2@host/db",
            "rediss://:hunter2@host:port",
            "rediss://:hunter2@host/#insecure",
        ] {
            let errors = read(wrong).expect_err("no URL of a Redis");
            let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert!(!format!("{told:?} {errors:?}").contains("hunter2"), "{told:?}");
        }
    }

    #[test]
    fn files_need_tls_and_mistakes_are_told() {
        let files = Files { ca: Some("/nowhere/ca"), certificate: Some("/nowhere/cert"), key: Some("/nowhere/key") };
        for (url, why) in [("redis://host", "rediss://"), ("rediss://host", "No such file")] {
            let errors = RedisUrl::new(url, files).expect_err("no files for that");
            let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
            for (told, setting) in told.iter().zip(["REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE"]) {
                assert!(told.starts_with(&format!("{setting}=/nowhere/")) && told.contains(why), "{told}");
            }
            assert_eq!(told.len(), 3, "{told:?}");
        }
    }
}
