//! Address of a GameServer for players.

use agis_servers::{
    game::Protocol,
    host::{Endpoint, OpenPort},
};
use serde::Deserialize;
use serde_json::Value;

/// Port in `status`.
#[derive(Debug, Deserialize)]
pub(crate) struct StatusPort {
    #[serde(default)]
    name: String,
    port: u16,
}

/// Port in `spec`. Agones names its protocol there only.
#[derive(Debug, Deserialize)]
struct SpecPort {
    #[serde(default)]
    name: String,
    #[serde(default)]
    protocol: String,
}

/// Maximum number of ports that are shown. No game is known to have as many.
const PORTS_MAX: usize = 32;
/// Maximum length of a port's name in Kubernetes, in characters.
const NAME_MAX: usize = 63;

/// Returns the address of a GameServer with this spec; `None` until Agones has told it.
pub(crate) fn endpoint(spec: &Value, address: &str, ports: &[StatusPort]) -> Option<Endpoint> {
    let port = ports.first()?.port;
    let specs = spec.get("ports").and_then(|ports| Vec::<SpecPort>::deserialize(ports).ok());
    let specs = specs.unwrap_or_default();
    let open = |StatusPort { name, port }: &StatusPort| OpenPort {
        // The cluster checks no status.
        name: name.chars().filter(|letter| !letter.is_control()).take(NAME_MAX).collect(),
        port: *port,
        protocol: specs.iter().find(|spec| spec.name == *name).and_then(|spec| match spec.protocol.as_str() {
            "TCP" => Some(Protocol::Tcp),
            // Agones' default.
            "UDP" | "" => Some(Protocol::Udp),
            _ => None,
        }),
    };
    let ports = ports.iter().take(PORTS_MAX).map(open).collect();
    (!address.is_empty()).then(|| Endpoint { address: address.to_owned(), port, ports })
}
