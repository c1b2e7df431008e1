//! The settings of a TLS connection, and the files that they name.

use std::{error::Error, fmt, sync::Arc};

use rustls::{ClientConfig, InconsistentKeys, RootCertStore, crypto::ring};

use crate::{
    explain::explain,
    files::{self, Shown},
    verifier::Lenient,
};

/// The names of the settings that name the files, for errors about them.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// The certificates of those who may sign a server's.
    pub ca: &'static str,
    /// The certificate that is shown to a server.
    pub certificate: &'static str,
    /// Its key.
    pub key: &'static str,
}

/// Demands on a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Nothing: nobody else can listen, but whoever answers may be anybody.
    Anybody,
    /// A certificate of this file has signed it.
    Signed(&'a str),
    /// A certificate of this file has signed it, and it is for the name that was asked for.
    Named(&'a str),
}

/// The files of the certificate that is shown to a server, and of its key: both, or neither.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity<'a> {
    /// The certificate, and those that lead from it to one that the server knows.
    pub certificate: Option<&'a str>,
    /// The key.
    pub key: Option<&'a str>,
}

/// A setting cannot be taken, and why. Nothing of what is in its file is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The name of the setting.
    pub setting: &'static str,
    /// Its value: a file.
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

/// The settings of connections to one server. The files were read when it was made.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    words: Words,
    is_checking: bool,
    is_known: bool,
}

impl Client {
    /// In place of a file of certificates: those that the machine trusts, or, where it has no store, Mozilla's, of which a
    /// copy is in the program.
    pub const SYSTEM: &'static str = "system";

    /// Reads the files.
    ///
    /// # Errors
    /// All that is wrong with them.
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

    /// The settings in rustls' form.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// Whether a server has to show a certificate that is trusted.
    pub fn is_checking(&self) -> bool {
        self.is_checking
    }

    /// Whether a certificate is shown to a server that asks for one.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Names the check that failed, if `error` or one of its causes tells of one.
    pub fn explain(&self, error: &(dyn Error + 'static)) -> Option<String> {
        explain(self.words, self.is_known, error)
    }

    /// The remedy if a server asks for a certificate and got none.
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
