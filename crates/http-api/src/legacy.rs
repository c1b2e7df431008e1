//! Legacy tokens: `Authorization: Bearer <discord_id>`, as programs of v1.7.0 send it.
//!
//! The id is public, so it proves nothing. Such a token is taken only where an operator has switched that on, and then
//! only beside the operator's secret in a second header. It opens servers and schedules, never keys: whoever holds the
//! secret can speak for everybody, and must not be able to make that last.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use agis_accounts::Accounts;
use agis_apikeys::{Permission, Scope, Scopes, Secret, service::AuthError};
use agis_base::{Timestamp, UserId};
use agis_ratelimit::{Bucket, Quota};
use chrono::Utc;

use crate::problem::DOCS_PATH;

/// The operator's secret.
const SECRET: &str = "x-agis-legacy-secret";
/// When these tokens were deprecated: with version 2.0, 2026-11-22 (RFC 9745 wants Unix seconds behind an at sign).
const DEPRECATION: &str = "@1795305600";

/// That legacy tokens are taken.
#[derive(Debug, Clone)]
pub struct LegacyPolicy {
    /// What must stand beside them in `X-AGIS-Legacy-Secret`.
    pub secret: Secret,
    /// When they end.
    pub sunset: Timestamp,
    /// Requests per hour and user.
    pub rate_limit: u32,
}

/// A user in whose name a legacy token speaks.
pub(crate) struct LegacyCaller {
    pub(crate) user: UserId,
    pub(crate) scopes: Scopes,
    pub(crate) quota: Quota,
}

/// A token that came with the secret; whether there is such a user is not known yet.
pub(crate) struct Token(LegacyCaller);

impl LegacyPolicy {
    /// What was presented, if it is such a token, has not ended, and came with the secret. What did not is no key, and
    /// is told so: nobody learns from outside that these tokens are taken here.
    pub(crate) fn token(&self, text: &str, headers: &HeaderMap) -> Option<Token> {
        let user: UserId = text.parse().ok()?;
        let secret = headers.get(SECRET)?.to_str().ok()?;
        let good = self.secret.is(secret) && Utc::now() < self.sunset;
        let permissions = [Permission::WriteServers, Permission::WriteSchedules];
        let scopes = permissions.map(Scope::Of).into_iter().collect();
        good.then(|| Token(LegacyCaller { user, scopes, quota: Quota::per_hour(self.rate_limit) }))
    }

    /// `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and where to read on.
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
    /// The user, if there is one; REST makes none.
    pub(crate) async fn redeem(self, accounts: &Accounts) -> Result<LegacyCaller, AuthError> {
        let Self(caller) = self;
        accounts.get(&caller.user).await?.ok_or(AuthError::Unknown)?;
        metrics::counter!("agis_bot_legacy_token_uses_total").increment(1);
        tracing::warn!(user_id = %caller.user, "legacy token was used");
        Ok(caller)
    }
}

impl LegacyCaller {
    /// All programs of a user share one.
    pub(crate) fn bucket(&self) -> Bucket {
        // A Discord id has 64 bits.
        Bucket { kind: "user", id: self.user.as_str().parse::<u64>().unwrap_or(0).cast_signed() }
    }
}
