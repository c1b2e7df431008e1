//! Why a host gave no connection.

use std::error::Error as _;

use agis_tls::Client as Tls;
use tokio_postgres::{Error, error::SqlState};

use super::mode::Mode;

/// tokio-postgres' text for a server that answers that it has no TLS.
const NO_TLS: &str = "server does not support TLS";
/// tokio-postgres' text in front of a fault in TLS.
const IN_TLS: &str = "error performing TLS handshake";

/// Why a host gave no connection, for an operator.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    /// TLS failed, so a connection without it may succeed.
    pub(super) clear_may_do: bool,
    /// The server has no TLS at all.
    has_none: bool,
}

impl Failure {
    pub(super) fn new(tls: &Tls, error: &Error) -> Self {
        let has_none = error.source().is_some_and(|source| source.to_string() == NO_TLS);
        let explained = tls.explain(error);
        // pg_hba.conf may admit a caller without TLS only, as libpq knows: it tries again without.
        let is_turned_away = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        let clear_may_do = explained.is_some() || is_turned_away || error.to_string().starts_with(IN_TLS);
        let why = match explained {
            _ if has_none => "the server does not speak TLS".to_owned(),
            Some(why) => why,
            None => text(tls, error, is_turned_away),
        };
        Self { why, clear_may_do, has_none }
    }

    /// Of a connection without TLS, after one with it.
    pub(super) fn after(self, tls: &Self) -> Self {
        if self.why == tls.why || tls.has_none {
            return self;
        }
        Self { why: format!("{}; with TLS: {}", self.why, tls.why), ..self }
    }

    pub(super) fn under(self, mode: Mode) -> Self {
        if !self.has_none {
            return self;
        }
        Self { why: format!("{}, and sslmode={} asks for it", self.why, mode.word()), ..self }
    }
}

/// tokio-postgres keeps the server's words in the source of its error.
fn text(tls: &Tls, error: &Error, is_turned_away: bool) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(server), _) if is_turned_away && !tls.is_known() && server.message().contains("client certificate") => {
            format!("{}: {}", server.message(), tls.advice())
        }
        (Some(server), _) => server.message().to_owned(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
