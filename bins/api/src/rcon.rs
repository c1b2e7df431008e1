//! RCON with the games of the hosts that this process serves.

use std::sync::Arc;

use agis_query::rcon::{self, RconError};
use agis_servers::{
    game::RconProtocol,
    host::Host,
    rcon::{ANSWER_WITHIN, RconCall, RconClient, RconFailure},
};
use async_trait::async_trait;

/// Speaks RCON at the addresses at which these hosts reach their games.
pub(crate) struct HostRcon(pub(crate) Vec<Arc<dyn Host>>);

#[async_trait]
impl RconClient for HostRcon {
    async fn ask(&self, call: &RconCall) -> Result<String, RconFailure> {
        let RconCall { protocol, host, address, port, is_private, password, command } = call;
        let protocol = match protocol {
            RconProtocol::Source => rcon::RconProtocol::Source,
            RconProtocol::Quake3 => rcon::RconProtocol::Quake3,
        };
        let host = self.0.iter().find(|served| served.name() == host);
        let address = match host {
            Some(host) if *is_private => host.reached_privately_at(address),
            Some(host) => host.reached_at(address),
            None => address.clone(),
        };
        let answer = rcon::tell(protocol, &address, *port, password.expose(), command, ANSWER_WITHIN).await;
        answer.map_err(|error| match error {
            RconError::Password => RconFailure::Password,
            RconError::Unsendable(rule) => RconFailure::Unsendable(rule.to_owned()),
            RconError::Unreachable(_) | RconError::Slow => RconFailure::Unreached(error.to_string()),
            RconError::Unanswered(why) => RconFailure::Unanswered(why),
        })
    }
}
