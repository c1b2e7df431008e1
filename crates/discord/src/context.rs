//! Services and state that commands, buttons and following messages share.

use std::sync::Arc;

use agis_accounts::Accounts;
use agis_apikeys::ApiKeys;
use agis_deferrals::Deferrals;
use agis_idempotency::Idempotency;
use agis_notices::Notices;
use agis_ratelimit::Limiter;
use agis_scheduler::Schedules;
use agis_servers::Servers;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use twilight_model::id::{Id, marker::MessageMarker};

use crate::{reply::Replies, seen::Seen};

/// Maximum number of messages that follow an operation at once. Each one asks the database every second or three.
const FOLLOWED_MAX: usize = 200;
/// Maximum number of confirmations that are remembered.
const CONFIRMED_MAX: usize = 1_000;

/// Services of the domain, as the commands use them.
#[derive(Clone)]
pub struct Services {
    /// Servers and operations.
    pub servers: Servers,
    /// Schedules.
    pub schedules: Schedules,
    /// API keys.
    pub keys: ApiKeys,
    /// Users and credits.
    pub accounts: Accounts,
    /// Idempotent requests.
    pub idempotency: Idempotency,
    /// Rate limits.
    pub limiter: Arc<dyn Limiter>,
    /// Notices to owners.
    pub notices: Notices,
    /// Promised answers.
    pub deferrals: Deferrals,
}

/// Operator's decisions about commands.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Commands and buttons per user and hour.
    pub requests_per_hour: u32,
    /// Public address of the REST API without a slash at the end; `/help` links its reference. `None` shows no link.
    pub api_url: Option<String>,
}

/// Services and state of one handler.
pub(crate) struct Context {
    pub(crate) services: Services,
    pub(crate) settings: Settings,
    pub(crate) replies: Replies,
    /// Room for messages that follow an operation.
    pub(crate) followed: Arc<Semaphore>,
    /// Cancelled when the bot ends.
    pub(crate) ending: CancellationToken,
    /// Messages whose confirmation was given.
    pub(crate) confirmed: Seen<Id<MessageMarker>>,
    pub(crate) tasks: TaskTracker,
}

impl Context {
    pub(crate) fn new(services: Services, settings: Settings, replies: Replies) -> Self {
        Self {
            services,
            settings,
            replies,
            followed: Arc::new(Semaphore::new(FOLLOWED_MAX)),
            ending: CancellationToken::new(),
            confirmed: Seen::new(CONFIRMED_MAX),
            tasks: TaskTracker::new(),
        }
    }
}
