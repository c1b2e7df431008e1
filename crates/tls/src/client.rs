//! Settings of a TLS connection, and the files that they name.

use std::{error::Error, fmt, sync::Arc};

use rustls::{ClientConfig, InconsistentKeys, RootCertStore, crypto::ring};

use crate::{
    explain::explain,
    files::{self, Shown},
    verifier::Lenient,
};

/// Names of the settings that name the files, for errors about them.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// Setting of the trusted authorities' certificates.
    pub ca: &'static str,
    /// Setting of the certificate that we show to a server.
    pub certificate: &'static str,
    /// Setting of that certificate's key.
    pub key: &'static str,
}

/// Demands on a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Encrypts only: nobody else can listen, but the server may be anybody.
    Anybody,
    /// Requires a certificate signed by an authority in this file.
    Signed(&'a str),
    /// Requires a certificate signed by an authority in this file, for the requested name.
    Named(&'a str),
}

/// Files of the certificate that we show to a server, and of its key: both, or neither.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity<'a> {
    /// The certificate and its chain.
    pub certificate: Option<&'a str>,
    /// The certificate's key.
    pub key: Option<&'a str>,
}

/// Reason why a setting cannot be used. It never quotes the file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Name of the setting.
    pub setting: &'static str,
    /// Value of the setting: a file.
    pub value: String,
    /// The fault.
    pub why: String,
}

impl Fault {
    pub(crate) fn new(setting: &'static str, value: &str, why: impl Into<String>) -> Self {
        Self { setting, value: value.to_owned(), why: why.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: {}", self.setting, self.value, self.why)
    }
}

/// Settings of connections to one server. Creation reads the files.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    words: Words,
    is_checking: bool,
    is_known: bool,
}

impl Client {
    /// Value that replaces a file of certificates: the authorities that the machine trusts, or the program's copy of
    /// Mozilla's if the machine has none.
    pub const SYSTEM: &'static str = "system";

    /// Reads the files.
    ///
    /// # Errors
    /// Returns all faults of the files.
    pub fn new(words: Words, trust: Trust<'_>, identity: Identity<'_>) -> Result<Self, Vec<Fault>> {
        let roots = match trust {
            Trust::Anybody => Ok(None),
            Trust::Signed(file) | Trust::Named(file) => files::roots(words.ca, file).map(Some),
        };
        let (roots, shown) = match (roots, files::identity(words, identity)) {
            (Ok(roots), Ok(shown)) => (roots, shown),
            (roots, shown) => return Err(roots.err().into_iter().chain(shown.err().into_iter().flatten()).collect()),
        };
        let is_checking = roots.is_some();
        let is_known = shown.is_some();
        let config = config(matches!(trust, Trust::Named(_)), roots, shown);
        let config = Arc::new(config.map_err(|error| vec![unusable(words, identity, &error)])?);
        Ok(Self { config, words, is_checking, is_known })
    }

    /// Returns the settings in rustls' form.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// Returns whether a server has to show a trusted certificate.
    pub fn is_checking(&self) -> bool {
        self.is_checking
    }

    /// Returns whether we show a certificate to a server that asks for one.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Names the check that failed, if `error` or one of its causes has one.
    pub fn explain(&self, error: &(dyn Error + 'static)) -> Option<String> {
        explain(self.words, self.is_known, error)
    }

    /// Returns the remedy if a server asks for a certificate and got none.
    pub fn advice(&self) -> String {
        format!("set {} and {}", self.words.certificate, self.words.key)
    }
}

fn config(is_named: bool, roots: Option<RootCertStore>, shown: Option<Shown>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match roots {
        Some(roots) if is_named => builder.with_root_certificates(roots),
        roots => builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { provider, roots })),
    };
    Ok(match shown {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => builder.with_client_auth_cert(certificates, key)?,
    })
}

fn unusable(words: Words, identity: Identity<'_>, error: &rustls::Error) -> Fault {
    let certificate = identity.certificate.unwrap_or_default();
    let why = match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!("is not the key of {}={certificate}", words.certificate)
        }
        error => format!("cannot be used with {}={certificate}: {error}", words.certificate),
    };
    Fault::new(words.key, identity.key.unwrap_or_default(), why)
}
