//! How much TLS a URL asks for, in libpq's words.

use agis_tls::{Client as Tls, Fault, Identity, Trust, Words};

use super::url::Parameters;

const WORDS: Words = Words { ca: "sslrootcert", certificate: "sslcert", key: "sslkey" };

/// `sslmode`. libpq's `allow` is left out: it is for clients that would rather do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// No TLS.
    Disable,
    /// TLS where that succeeds, else none.
    Prefer,
    /// TLS; the certificate is looked at where `sslrootcert` is there.
    Require,
    /// TLS, and the certificate is signed by one of `sslrootcert`.
    VerifyCa,
    /// The same, and it is for the host that was asked for.
    VerifyFull,
}

const ALL: [Mode; 5] = [Mode::Disable, Mode::Prefer, Mode::Require, Mode::VerifyCa, Mode::VerifyFull];

impl Mode {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    fn parse(word: &str) -> Result<Self, String> {
        let known = ALL.into_iter().find(|mode| mode.word() == word);
        known.ok_or_else(|| format!("sslmode={word}: is one of: {}", ALL.map(Self::word).join(", ")))
    }
}

/// Takes what is about TLS out of the parameters, and reads the files.
pub(super) fn take(parameters: &mut Parameters) -> Result<(Option<Mode>, Tls), Vec<String>> {
    let [mode, ca, certificate, key] =
        ["sslmode", WORDS.ca, WORDS.certificate, WORDS.key].map(|name| parameters.take(name));
    let mode = mode.map(|word| Mode::parse(&word)).transpose().map_err(|why| vec![why])?;
    // As libpq has it: who trusts everybody's CAs has to look at the name.
    let mode = mode.or((ca.as_deref() == Some(Tls::SYSTEM)).then_some(Mode::VerifyFull));
    let (trust, identity) = match mode {
        // Then the files are not read.
        Some(Mode::Disable) => (Ok(Trust::Anybody), Identity::default()),
        mode => {
            let identity = Identity { certificate: certificate.as_deref(), key: key.as_deref() };
            (trust(mode, ca.as_deref()), identity)
        }
    };
    let tls = Tls::new(WORDS, *trust.as_ref().unwrap_or(&Trust::Anybody), identity);
    let faults = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.to_string());
    match (trust, tls) {
        (Ok(_), Ok(tls)) => Ok((mode, tls)),
        (trust, tls) => Err(trust.err().into_iter().chain(tls.err().into_iter().flat_map(faults)).collect()),
    }
}

fn trust(mode: Option<Mode>, ca: Option<&str>) -> Result<Trust<'_>, String> {
    match (mode, ca) {
        (Some(Mode::VerifyFull), Some(ca)) => Ok(Trust::Named(ca)),
        (Some(mode), Some(Tls::SYSTEM)) => {
            Err(format!("sslrootcert=system: needs sslmode=verify-full, not {}", mode.word()))
        }
        (_, Some(ca)) => Ok(Trust::Signed(ca)),
        (Some(mode @ (Mode::VerifyCa | Mode::VerifyFull)), None) => Err(format!(
            "sslmode={}: needs sslrootcert, the file of the CA's certificate; or, with verify-full, sslrootcert=system",
            mode.word()
        )),
        (_, None) => Ok(Trust::Anybody),
    }
}
