//! The services that handlers call, and the operator's choices that they need.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use agis_accounts::Accounts;
use agis_apikeys::{ApiKeys, Block};
use agis_idempotency::Idempotency;
use agis_ratelimit::Limiter;
use agis_scheduler::Schedules;
use agis_servers::Servers;

use crate::{
    followers::Followers,
    forwarded::Unnamed,
    legacy::{self, LegacyPolicy},
};

/// What an operator decides about who is let in.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Whose word on a client's address counts.
    pub trusted_proxies: Vec<Block>,
    /// The first that should perhaps be among them.
    pub unnamed: Unnamed,
    /// Legacy tokens, where they are taken.
    pub legacy: Option<LegacyPolicy>,
}

impl Edge {
    /// What was presented, if it is a legacy token and those are taken.
    pub(crate) fn legacy_token(&self, text: &str, headers: &HeaderMap) -> Option<legacy::Token> {
        self.legacy.as_ref()?.token(text, headers)
    }
}

/// What the routes speak to.
#[derive(Clone)]
pub struct Services {
    /// Keys.
    pub keys: ApiKeys,
    /// Limits.
    pub limiter: Arc<dyn Limiter>,
    /// Servers and operations.
    pub servers: Servers,
    /// Schedules.
    pub schedules: Schedules,
    /// Users.
    pub accounts: Accounts,
    /// Who is let in.
    pub edge: Arc<Edge>,
    /// What was asked before.
    pub idempotency: Idempotency,
    /// Who follows a console.
    pub followers: Followers,
}
