//! Legacy tokens: `Authorization: Bearer <discord_id>`, as programs of v1.7.0 send them.
//!
//! The id is public, so it proves nothing. A token is accepted only where the operator has enabled it, and only with
//! the operator's secret in a second header. It opens servers and schedules, never keys: the secret's holder can act
//! for everybody, and must not be able to make that permanent.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use agis_accounts::Accounts;
use agis_apikeys::{Permission, Scope, Scopes, Secret, service::AuthError};
use agis_base::{Timestamp, UserId};
use agis_ratelimit::{Bucket, Quota};
use chrono::Utc;

use crate::problem::DOCS_PATH;

/// The header with the operator's secret.
const SECRET: &str = "x-agis-legacy-secret";
/// The deprecation date of these tokens, 2026-11-22 (version 2.0), as Unix seconds behind an at sign (RFC 9745).
const DEPRECATION: &str = "@1795305600";

/// How legacy tokens are accepted.
#[derive(Debug, Clone)]
pub struct LegacyPolicy {
    /// The secret that `X-AGIS-Legacy-Secret` must hold.
    pub secret: Secret,
    /// The moment from which they are refused.
    pub sunset: Timestamp,
    /// Requests per hour and user.
    pub rate_limit: u32,
}

/// A user for whom a legacy token speaks.
pub(crate) struct LegacyCaller {
    pub(crate) user: UserId,
    pub(crate) scopes: Scopes,
    pub(crate) quota: Quota,
}

/// A token that came with the secret. Whether the user exists is not known yet.
pub(crate) struct Token(LegacyCaller);

impl LegacyPolicy {
    /// Returns the token if it has the form, came with the secret, and is not past the sunset. Anything else is
    /// reported as a malformed key, so strangers do not learn that tokens are accepted here.
    pub(crate) fn token(&self, text: &str, headers: &HeaderMap) -> Option<Token> {
        let user: UserId = text.parse().ok()?;
        let secret = headers.get(SECRET)?.to_str().ok()?;
        let good = self.secret.is(secret) && Utc::now() < self.sunset;
        let permissions = [Permission::WriteServers, Permission::WriteSchedules];
        let scopes = permissions.map(Scope::Of).into_iter().collect();
        good.then(|| Token(LegacyCaller { user, scopes, quota: Quota::per_hour(self.rate_limit) }))
    }

    /// Adds `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and a link to the documentation.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        let sunset = self.sunset.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let link = format!("<{DOCS_PATH}>; rel=\"deprecation\"");
        for (name, value) in [("deprecation", DEPRECATION), ("sunset", &sunset), ("link", &link)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

impl Token {
    /// Returns the user, if they exist. REST creates no users.
    pub(crate) async fn redeem(self, accounts: &Accounts) -> Result<LegacyCaller, AuthError> {
        let Self(caller) = self;
        accounts.get(&caller.user).await?.ok_or(AuthError::Unknown)?;
        metrics::counter!("agis_bot_legacy_token_uses_total").increment(1);
        tracing::warn!(user_id = %caller.user, "legacy token was used");
        Ok(caller)
    }
}

impl LegacyCaller {
    /// Returns the bucket that all programs of a user share.
    pub(crate) fn bucket(&self) -> Bucket {
        // A Discord id has 64 bits.
        Bucket { kind: "user", id: self.user.as_str().parse::<u64>().unwrap_or(0).cast_signed() }
    }
}
