//! Certificates and keys, as operators keep them.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::client::{Client, Fault, Identity, Words};

/// Certificate with its chain, and its key.
pub(crate) type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads the certificates of trusted authorities.
pub(crate) fn roots(setting: &'static str, file: &str) -> Result<RootCertStore, Fault> {
    if file == Client::SYSTEM {
        return Ok(of_the_machine());
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates(setting, file)? {
        let added = roots.add(certificate);
        added.map_err(|error| Fault::new(setting, file, format!("has a certificate that is none: {error}")))?;
    }
    Ok(roots)
}

/// Reads the machine's trusted authorities. A machine without a store, such as a minimal image, gets Mozilla's.
fn of_the_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // One unreadable certificate does not rule out the rest.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Reads the certificate to show and its key, if there are any.
pub(crate) fn identity(words: Words, identity: Identity<'_>) -> Result<Option<Shown>, Vec<Fault>> {
    let alone = |setting, file, other| {
        let why = format!("needs {other} too: a certificate is shown with its key");
        Err(vec![Fault::new(setting, file, why)])
    };
    let (certificate, key) = match (identity.certificate, identity.key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(file), None) => return alone(words.certificate, file, words.key),
        (None, Some(file)) => return alone(words.key, file, words.certificate),
    };
    match (certificates(words.certificate, certificate), private_key(words.key, key)) {
        (Ok(certificates), Ok(key)) => Ok(Some((certificates, key))),
        (certificates, key) => Err(certificates.err().into_iter().chain(key.err()).collect()),
    }
}

fn certificates(setting: &'static str, file: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = fs::read(file).map_err(|error| Fault::new(setting, file, error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Fault::new(setting, file, "has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")),
    }
}

fn private_key(setting: &'static str, file: &str) -> Result<PrivateKeyDer<'static>, Fault> {
    let fault = |why: &str| Fault::new(setting, file, why);
    let metadata = fs::metadata(file).map_err(|error| fault(&error.to_string()))?;
    if !metadata.is_file() {
        return Err(fault("is not a regular file"));
    }
    if let Some(why) = is_open_to_others(&metadata) {
        return Err(fault(&why));
    }
    let text = fs::read(file).map_err(|error| fault(&error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        fault(match text.windows(9).any(|word| word == b"ENCRYPTED") {
            true => "is encrypted: decrypt it, and keep it where nobody else can read it",
            false => "has no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
        })
    })
}

/// Applies libpq's rule: only the owner may read the key, or root and a group, as Kubernetes mounts secrets.
fn is_open_to_others(file: &Metadata) -> Option<String> {
    let open = if file.uid() == 0 { 0o037 } else { 0o077 };
    (file.mode() & open != 0).then(|| {
        format!(
            "is open to others (mode {:04o}): chmod 0600, or, where root owns it, 0640 for a group that may read it",
            file.mode() & 0o7777
        )
    })
}
