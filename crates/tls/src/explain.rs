//! Explains a failure in words: the check that failed and its remedy.

use std::{error::Error as StdError, io, sync::Arc};

use rustls::{AlertDescription, CertificateError, Error, pki_types::ServerName};

use crate::client::Words;

/// Names the fault in TLS, if `error` or one of its causes has one; `shows` is whether we show a certificate.
pub(crate) fn explain(words: Words, shows: bool, error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<Error>() {
            return Some(in_words(words, shows, error));
        }
        cause = inner(error).or_else(|| error.source());
    }
    None
}

/// Returns the error inside a wrapper: such a wrapper skips the inner error when asked for its source.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.get_ref().map(|inner| inner as _);
    }
    error.downcast_ref::<Arc<dyn StdError + Send + Sync>>().map(|shared| &**shared as _)
}

fn in_words(words: Words, shows: bool, error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => of_their_certificate(words, error),
        Error::NoCertificatesPresented => "the server shows no certificate".to_owned(),
        Error::AlertReceived(alert) => of_their_refusal(words, shows, *alert),
        Error::InvalidMessage(_) => "the server does not speak TLS on this port".to_owned(),
        Error::PeerIncompatible(error) => format!("the server speaks no TLS that AGIS does (1.2 or 1.3): {error:?}"),
        other => format!("TLS failed: {other}"),
    }
}

fn of_their_certificate(words: Words, error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired, by this machine's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet, by this machine's clock".to_owned()
        }
        CertificateError::UnknownIssuer => {
            format!("the server's certificate is signed by nobody whom {} trusts", words.ca)
        }
        CertificateError::BadSignature => {
            format!("the server's certificate is not signed by {}: another key has signed in its name", words.ca)
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("the server's certificate is for {}, not for {}", names(presented), name(expected))
        }
        CertificateError::NotValidForName => "the server's certificate is for another name".to_owned(),
        CertificateError::Revoked => "the server's certificate has been revoked".to_owned(),
        // webpki has its own words for the rest, and rustls passes them on.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the server shows the certificate of a CA as its own: let the CA sign one for the server".to_owned()
        }
        other => format!("the server's certificate is refused: {other}"),
    }
}

fn of_their_refusal(words: Words, shows: bool, alert: AlertDescription) -> String {
    let ours = words.certificate;
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure if !shows => {
            format!("the server wants a client certificate: set {ours} and {}", words.key)
        }
        AlertDescription::UnknownCA => format!("the server does not trust those who signed {ours}"),
        AlertDescription::CertificateExpired => format!("the server says that {ours} has expired"),
        AlertDescription::CertificateRevoked => format!("the server says that {ours} has been revoked"),
        AlertDescription::ProtocolVersion => "the server speaks no TLS that AGIS does (1.2 or 1.3)".to_owned(),
        other if shows => format!("the server refuses {ours}: {other:?}"),
        other => format!("the server ended TLS: {other:?}"),
    }
}

/// Returns the names of a certificate, without webpki's prefixes for their kinds.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    match presented {
        [] => "no name (names are those of subjectAltName alone)".to_owned(),
        presented => presented.iter().map(bare).collect::<Vec<_>>().join(", "),
    }
}

fn name(expected: &ServerName<'_>) -> String {
    expected.to_str().into_owned()
}
