//! The rules for the namespace of the games: what games may reach, and what they may take.

use std::collections::BTreeMap;

use agis_servers::game::{Runs, Size};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::object::{containers, has, is, list, map, name, namespace, text, written};
use super::overlay::{catalogue, matches, setting};

/// The networks that no game may go to: private ones, with other pods and nodes among them, and the cloud's metadata.
const PRIVATE: [&str; 7] =
    ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];
/// The resources of the cluster of which all games together have a quota.
const COUNTED: [&str; 8] = [
    "pods",
    "count/gameservers.agones.dev",
    "requests.cpu",
    "requests.memory",
    "limits.memory",
    "persistentvolumeclaims",
    "requests.storage",
    "services",
];

/// Returns the labels that Agones puts on its pods.
pub(super) fn labels() -> Value {
    json!({"agones.dev/role": "gameserver"})
}

/// Returns the specs of the objects of a kind in the namespace of the games.
fn specs<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let at = setting(objects, "AGONES_NAMESPACE");
    objects.iter().filter(move |object| is(object, kind) && namespace(object) == at).map(|object| &object["spec"])
}

pub(super) fn are_apart(objects: &[Value]) -> Vec<String> {
    let nobody = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    let policies: Vec<_> = specs(objects, "NetworkPolicy").collect();
    let of_games: Vec<_> =
        policies.iter().filter(|policy| ***policy != nobody && matches(&policy["podSelector"], &labels())).collect();
    let ways: Vec<_> = of_games.iter().flat_map(|policy| list(&policy["egress"])).collect();
    let is_open = |way: &Value, port: Value| !has(way, "to") && list(&way["ports"]).contains(&port);
    let names = json!({"port": 53, "protocol": "UDP"});
    let wrong = [
        (!policies.contains(&&nobody), "no policy denies what none allows"),
        (of_games.iter().all(|policy| list(&policy["ingress"]).is_empty()), "no player may come in"),
        (!ways.iter().any(|way| list(&way["ports"]).contains(&names)), "no name is found"),
        // Agones' helper in a game's pod ends without it.
        (!ways.iter().any(|way| is_open(way, json!({"port": 443}))), "Agones' helper may not report to the API server"),
        (ways.iter().any(|way| !has(way, "to") && list(&way["ports"]).is_empty()), "may go everywhere"),
    ];
    let wrong = wrong.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, fault)| format!("games: {fault}"));
    let private = ways.iter().flat_map(|way| PRIVATE.into_iter().filter(|network| leads_to(&way["to"], network)));
    wrong.chain(private.map(|network| format!("games: may go to {network}"))).collect()
}

/// Returns whether a rule to these peers leads to addresses of the network.
fn leads_to(peers: &Value, network: &str) -> bool {
    let Some(network) = net(network) else { return true };
    let blocks = list(peers).iter().filter_map(|peer| peer.get("ipBlock"));
    let mut near = blocks.filter(|block| {
        net(text(&block["cidr"])).is_none_or(|block| block.contains(&network) || network.contains(&block))
    });
    near.any(|block| {
        let mut except = list(&block["except"]).iter().filter_map(|no| net(text(no)));
        !except.any(|no| no.contains(&network))
    })
}

fn net(text: &str) -> Option<IpNet> {
    text.parse().ok()
}

pub(super) fn have_limits(objects: &[Value]) -> Vec<String> {
    let hard: Vec<_> = specs(objects, "ResourceQuota").map(|quota| &quota["hard"]).collect();
    let uncounted = COUNTED.into_iter().filter(|resource| !hard.iter().any(|hard| has(hard, resource)));
    let mut faults: Vec<_> = uncounted.map(|resource| format!("games: no quota for {resource}")).collect();
    let ranges = specs(objects, "LimitRange").flat_map(|range| list(&range["limits"]));
    let limits: BTreeMap<_, _> = ranges.map(|limit| (text(&limit["type"]), limit)).collect();
    let of = |kind| limits.get(kind).copied().unwrap_or(&Value::Null);
    let (one, world) = (of("Container"), of("PersistentVolumeClaim"));
    // A quota refuses a container that does not say how much it takes of what is counted.
    let requests = map(&one["defaultRequest"]);
    if !(requests.contains_key("cpu") && requests.contains_key("memory") && has(&one["default"], "memory")) {
        faults.push("games: a container that states nothing has no limits".to_owned());
    }
    match (one["max"].get("memory"), world["max"].get("storage")) {
        (Some(memory), Some(storage)) => faults.extend(too_large(objects, amount(memory), amount(storage))),
        _ => faults.push("games: one may take all memory, or all storage".to_owned()),
    }
    faults
}

/// Returns the games that want more memory or storage than one may have.
fn too_large(objects: &[Value], memory: f64, storage: f64) -> Vec<String> {
    let games = objects.iter().filter(|object| is(object, "Fleet") || is(object, "GameServer"));
    let containers = games.flat_map(|game| containers(game).map(move |container| (game, container)));
    let large = containers.filter(|(_, container)| amount(&container["resources"]["limits"]["memory"]) > memory);
    let mut faults: Vec<_> =
        large.map(|(game, _)| format!("{}: takes more memory than one game may", name(game))).collect();
    for game in catalogue(objects).unwrap_or_default().games() {
        let (wants, size) = match &game.runs {
            Runs::GameServer { world, .. } => (None, world.as_ref().map(|world| amount(&world.size.clone().into()))),
            Runs::Container(_) => (game.limits.memory.map(bytes), game.limits.disk.map(bytes)),
            Runs::Process(_) | Runs::Fleet(_) => (None, None),
        };
        if wants.is_some_and(|wants| wants > memory) {
            faults.push(format!("games.toml: {}: takes more memory than one game may", game.key));
        }
        if size.is_some_and(|size| size > storage) {
            faults.push(format!("games.toml: {}: its world is larger than one may be", game.key));
        }
    }
    faults
}

#[expect(clippy::cast_precision_loss, reason = "limits are compared")]
fn bytes(size: Size) -> f64 {
    size.bytes() as f64
}

/// Returns a quantity as a number. No number at all is more than every limit.
fn amount(quantity: &Value) -> f64 {
    const UNITS: [(&str, f64); 8] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let text = written(quantity);
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((&text, 1.0));
    number.parse().map_or(f64::INFINITY, |number: f64| number * factor)
}
