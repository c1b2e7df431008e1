//! The services that handlers call, and the operator's settings that they need.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use agis_accounts::Accounts;
use agis_apikeys::{ApiKeys, Block};
use agis_idempotency::Idempotency;
use agis_ratelimit::Limiter;
use agis_scheduler::Schedules;
use agis_servers::{Servers, store::HostStore};

use crate::{
    followers::Followers,
    forwarded::Unnamed,
    legacy::{self, LegacyPolicy},
};

/// The operator's settings about callers.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Block>,
    /// Peers that are perhaps proxies too.
    pub unnamed: Unnamed,
    /// How legacy tokens are accepted. `None`: they are refused.
    pub legacy: Option<LegacyPolicy>,
}

impl Edge {
    /// Returns the legacy token in a request, if such tokens are accepted.
    pub(crate) fn legacy_token(&self, text: &str, headers: &HeaderMap) -> Option<legacy::Token> {
        self.legacy.as_ref()?.token(text, headers)
    }
}

/// The services that handlers call.
#[derive(Clone)]
pub struct Services {
    /// API keys.
    pub keys: ApiKeys,
    /// Limits per key.
    pub limiter: Arc<dyn Limiter>,
    /// Servers and operations.
    pub servers: Servers,
    /// Reports of hosts.
    pub hosts: Arc<dyn HostStore>,
    /// Schedules.
    pub schedules: Schedules,
    /// Users.
    pub accounts: Accounts,
    /// The operator's settings about callers.
    pub edge: Arc<Edge>,
    /// Earlier requests by `Idempotency-Key`.
    pub idempotency: Idempotency,
    /// The followers of consoles.
    pub followers: Followers,
}
