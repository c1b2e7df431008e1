//! Certificates for tests: good for centuries or expired for decades, whatever the day.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::error::{Error, Result};

/// A CA of a test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// The certificates that a server shows over TLS, and asks for.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// The certificate that it shows.
    pub shown: Issued,
    /// The CA whose certificates clients show; without one they show none.
    pub clients: Option<String>,
}

impl Authority {
    /// A CA of this name. Two of one name have different keys.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server of these names and addresses.
    ///
    /// # Errors
    /// If no certificate can be made.
    pub fn server(&self, names: &[&str]) -> Result<Issued> {
        self.issue(&server(names)?)
    }

    /// The same, expired long ago.
    ///
    /// # Errors
    /// If no certificate can be made.
    pub fn expired_server(&self, names: &[&str]) -> Result<Issued> {
        let mut params = server(names)?;
        params.not_after = date_time_ymd(1976, 1, 1);
        self.issue(&params)
    }

    /// A certificate for a client of this name.
    ///
    /// # Errors
    /// If no certificate can be made.
    pub fn client(&self, name: &str) -> Result<Issued> {
        let mut params = CertificateParams::new([])?;
        params.distinguished_name = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn server(names: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.distinguished_name = named("a server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::new(format!("cannot make a certificate: {error}"))
    }
}
