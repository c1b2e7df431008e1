//! Services of the domain over one database.

use std::sync::Arc;

use agis_accounts::Accounts;
use agis_apikeys::ApiKeys;
use agis_idempotency::Idempotency;
use agis_notices::Notices;
use agis_scheduler::Schedules;
use agis_servers::{
    Servers,
    console::{Reach, relay::Relay},
    store::HostStore,
};
use agis_storage::{Db, notify::Bells};

use crate::{limits::Limits, settings::Rules};

/// Services of the domain.
#[derive(Clone)]
pub struct Domain {
    /// API keys.
    pub keys: ApiKeys,
    /// Rate limits; the program starts them.
    pub limits: Limits,
    /// Servers and operations.
    pub servers: Servers,
    /// Reports of hosts.
    pub hosts: Arc<dyn HostStore>,
    /// Schedules.
    pub schedules: Schedules,
    /// Users, credits and stats.
    pub accounts: Accounts,
    /// Idempotent requests.
    pub idempotency: Idempotency,
    /// Notices to owners.
    pub notices: Notices,
}

impl Domain {
    /// Creates the services over this database, with the games that this process can reach; others are reached through the
    /// database. The listener of the database rings the bells, and invalidates their cache of keys.
    pub fn new(rules: &Rules, db: &Arc<Db>, bells: &Bells, limits: Limits, reach: Reach) -> Self {
        let relay = Relay::new(db.clone(), bells.consoles.subscribe());
        let (catalogue, servers) = (rules.catalogue.clone(), rules.servers.clone());
        Self {
            keys: ApiKeys::new(db.clone(), bells.keys.clone(), rules.keys.clone()),
            limits,
            servers: Servers::new(db, catalogue, servers, reach).with_relay(relay),
            hosts: db.clone(),
            schedules: Schedules::new(db.clone(), rules.schedules),
            accounts: Accounts::new(db.clone()),
            idempotency: Idempotency::new(db.clone()),
            notices: Notices::new(db.clone()),
        }
    }
}
