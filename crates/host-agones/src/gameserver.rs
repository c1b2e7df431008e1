//! Reads the status that Agones writes about a GameServer.

use agis_servers::host::{Endpoint, Generation, Observed};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    core::{ApiResource, GroupVersionKind, Object},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    address::{self, StatusPort},
    names,
};

/// GameServer, of whose spec only the protocols of ports are read. Its status is parsed on use: the cluster does not check the status, and
/// one unreadable status must not hide the rest of a list.
pub(crate) type GameServer = Object<Value, Value>;

/// Part of `status` that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GameServerStatus {
    state: String,
    address: String,
    ports: Option<Vec<StatusPort>>,
}

/// Returns the resource `agones.dev/v1`, kind GameServer.
pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("agones.dev", "v1", "GameServer"), "gameservers")
}

/// Phase of a GameServer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Players cannot join yet.
    Starting,
    /// Players can join at this endpoint.
    Running(Endpoint),
    /// The GameServer has ended.
    Ended(End),
    /// Agones would not write this status, so the phase is unknown. The text names the object and the reason.
    Unreadable(String),
}

/// End of a GameServer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// Description, for people.
    pub(crate) how: String,
    /// Whether the game ended itself with a good exit status.
    pub(crate) good: bool,
}

impl Phase {
    fn crashed(how: impl Into<String>) -> Self {
        Self::Ended(End::crash(how))
    }

    fn over(how: impl Into<String>) -> Self {
        Self::Ended(End { how: how.into(), good: true })
    }
}

impl End {
    pub(crate) fn crash(how: impl Into<String>) -> Self {
        Self { how: how.into(), good: false }
    }

    pub(crate) fn observed(self, generation: Generation) -> Observed {
        let Self { how, good } = self;
        Observed::Ended { generation, how, good }
    }
}

/// Checks whether the GameServer is being deleted.
pub(crate) fn is_going(gameserver: &GameServer) -> bool {
    gameserver.metadata.deletion_timestamp.is_some()
}

/// Checks whether the readiness of the pod counts as the readiness of this game.
pub(crate) fn is_ready_by_pod(gameserver: &GameServer) -> bool {
    gameserver.annotations().get(names::READY).is_some_and(|by| by == "pod")
}

/// Translates the states of Agones' GameServers (agones.dev/site/docs/reference/gameserver) into phases. `pod` counts
/// if the pod's readiness is the game's.
pub(crate) fn phase(gameserver: &GameServer, pod: Option<&Pod>) -> Phase {
    let status = match status(gameserver) {
        Ok(status) => status,
        Err(_) if is_going(gameserver) => GameServerStatus::default(),
        Err(why) => return Phase::Unreadable(why),
    };
    match (status.state.as_str(), &status) {
        // Agones deletes the GameServer by itself then. An unhealthy one was Unhealthy before.
        ("Shutdown", _) => Phase::over("it was shut down by the game itself"),
        _ if is_going(gameserver) => Phase::crashed("its game server was deleted in the cluster"),
        ("Ready", _) if gameserver.labels().contains_key(FLEET) => {
            Phase::crashed("the game said again that it is ready, by which it went back to its Fleet")
        }
        ("Ready" | "Allocated" | "Reserved", status) => {
            endpoint(gameserver, status).map_or(Phase::Starting, Phase::Running)
        }
        ("Scheduled", status) if is_ready_by_pod(gameserver) => match pod.map(|pod| pod_phase(gameserver, pod)) {
            Some(PodPhase::Ready) => endpoint(gameserver, status).map_or(Phase::Starting, Phase::Running),
            Some(PodPhase::Ended(end)) => Phase::Ended(end),
            Some(PodPhase::Unready) | None => Phase::Starting,
        },
        ("Error", _) => Phase::crashed("Agones could not make its game server (state Error)"),
        ("Unhealthy", _) => Phase::crashed(
            "Agones found it unhealthy: it stopped reporting, its container ended, or its pod was evicted",
        ),
        // PortAllocation, Creating, Starting, Scheduled, RequestReady, and states of later versions of Agones.
        _ => Phase::Starting,
    }
}

/// Reads the status that Agones wrote; an empty one if Agones has not written any yet.
fn status(gameserver: &GameServer) -> Result<GameServerStatus, String> {
    let Some(status) = &gameserver.status else { return Ok(GameServerStatus::default()) };
    GameServerStatus::deserialize(status)
        .map_err(|error| format!("the status of the GameServer {} cannot be read: {error}", gameserver.name_any()))
}

/// Returns the state in Agones' words, for people.
pub(crate) fn state(gameserver: &GameServer) -> String {
    status(gameserver).map_or_else(|why| why, |status| status.state)
}

fn endpoint(gameserver: &GameServer, status: &GameServerStatus) -> Option<Endpoint> {
    address::endpoint(&gameserver.spec, &status.address, status.ports.as_ref()?)
}

/// Label by which Agones marks the GameServers of a Fleet. Those in use are `Allocated`.
const FLEET: &str = "agones.dev/fleet";

/// Returns the reason why a pod does not run: no node for it, or a waiting container.
pub(crate) fn waits_for(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let said = |reason: Option<&String>, message: Option<&String>| match (reason, message) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (said, None) | (None, said) => said.cloned(),
    };
    let waiting = status.container_statuses.iter().flatten().filter_map(|it| it.state.as_ref()?.waiting.as_ref());
    let mut waiting = waiting.filter(|it| it.reason.as_deref() != Some("ContainerCreating"));
    if let Some(why) = waiting.find_map(|it| said(it.reason.as_ref(), it.message.as_ref())) {
        return Some(why);
    }
    let unscheduled =
        status.conditions.iter().flatten().find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    said(unscheduled.reason.as_ref(), unscheduled.message.as_ref())
}

/// Name of Agones' own container in a pod.
const SIDECAR: &str = "agones-gameserver-sidecar";

enum PodPhase {
    Unready,
    Ready,
    Ended(End),
}

/// Checks whether Agones has recorded that players could join.
pub(crate) fn was_ready(gameserver: &GameServer) -> bool {
    const READY: &str = "agones.dev/ready-container-id";
    gameserver.labels().contains_key(FLEET) || gameserver.annotations().contains_key(READY)
}

/// Checks whether the game calls this exit status good. A GameServer of an earlier version has no such list.
fn is_good(gameserver: &GameServer, status: i32) -> bool {
    let said = gameserver.annotations().get(names::GOOD_EXITS).and_then(|text| serde_json::from_str(text).ok());
    said.unwrap_or_else(|| vec![0]).contains(&status)
}

fn pod_phase(gameserver: &GameServer, pod: &Pod) -> PodPhase {
    let Some(status) = &pod.status else { return PodPhase::Unready };
    let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if let Some(why) = status.reason.as_deref().or(status.message.as_deref()).filter(|_| is_over) {
        return PodPhase::Ended(End { how: format!("its pod has failed: {why}"), good: false });
    }
    // Without a restart, the end of the game's own container is final, while Agones' helper beside it goes on.
    let ended = status.container_statuses.iter().flatten().filter(|it| it.name != SIDECAR).find_map(|it| {
        let exit = it.state.as_ref()?.terminated.as_ref()?.exit_code;
        Some(End { how: format!("its container ended with status {exit}"), good: is_good(gameserver, exit) })
    });
    if let Some(ended) = ended {
        return PodPhase::Ended(ended);
    }
    match status.phase.as_deref() {
        Some("Succeeded") => {
            return PodPhase::Ended(End { how: "its pod has ended".into(), good: is_good(gameserver, 0) });
        }
        Some("Failed") => {
            return PodPhase::Ended(End { how: "its pod has failed: it gave no reason".into(), good: false });
        }
        _ => {}
    }
    let is_ready = |it: &k8s_openapi::api::core::v1::PodCondition| it.type_ == "Ready" && it.status == "True";
    match pod.metadata.deletion_timestamp.is_none() && status.conditions.iter().flatten().any(is_ready) {
        true => PodPhase::Ready,
        false => PodPhase::Unready,
    }
}

#[cfg(test)]
mod tests {
    use agis_servers::{game::Protocol, host::OpenPort};
    use serde_json::json;

    use super::*;

    fn gameserver(state: &str, ready: &str, address: &str) -> GameServer {
        let object = json!({
            "apiVersion": "agones.dev/v1", "kind": "GameServer", "spec": {},
            "metadata": { "name": "agis-1-2", "annotations": { (names::READY): ready } },
            "status": { "state": state, "address": address, "ports": [{ "name": "default", "port": 7001 }] },
        });
        serde_json::from_value(object).expect("a GameServer")
    }

    fn pod(phase: &str, ready: &str) -> Pod {
        let status = json!({ "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] });
        serde_json::from_value(json!({ "metadata": {}, "status": status })).expect("a pod")
    }

    fn word(phase: &Phase) -> &'static str {
        match phase {
            Phase::Starting => "starting",
            Phase::Running(_) => "running",
            Phase::Ended(_) => "ended",
            Phase::Unreadable(_) => "unreadable",
        }
    }

    #[test]
    fn every_state_of_agones_in_our_words() {
        for (state, expected) in [
            ("", "starting"),
            ("PortAllocation", "starting"),
            ("Creating", "starting"),
            ("Starting", "starting"),
            ("Scheduled", "starting"),
            ("RequestReady", "starting"),
            ("Ready", "running"),
            ("Allocated", "running"),
            ("Reserved", "running"),
            ("Shutdown", "ended"),
            ("Error", "ended"),
            ("Unhealthy", "ended"),
            ("SomethingNew", "starting"),
        ] {
            assert_eq!(
                word(&phase(&gameserver(state, "ready", "node"), Some(&pod("Running", "True")))),
                expected,
                "{state}"
            );
        }
        let ready = phase(&gameserver("Ready", "ready", "192.0.2.7"), None);
        let open = |name: &str, port, protocol| OpenPort { name: name.to_owned(), port, protocol };
        let default = open("default", 7001, None);
        let expected = Endpoint { address: "192.0.2.7".into(), port: 7001, ports: vec![default.clone()] };
        assert_eq!(ready, Phase::Running(expected));
        let mut several = gameserver("Ready", "ready", "192.0.2.7");
        let ports = json!([
            { "name": "default", "port": 7001 }, { "name": "query", "port": 7002 }, { "name": "a\u{0}", "port": 7003 }
        ]);
        several.status.as_mut().expect("a status")["ports"] = ports;
        several.spec = json!({ "ports": [{ "name": "default" }, { "name": "query", "protocol": "TCP" }] });
        let Phase::Running(endpoint) = phase(&several, None) else { panic!("it runs") };
        let ports = [("default", 7001, Some(Protocol::Udp)), ("query", 7002, Some(Protocol::Tcp)), ("a", 7003, None)];
        assert_eq!(endpoint.ports, ports.map(|(name, port, protocol)| open(name, port, protocol)));
        assert_eq!(word(&phase(&gameserver("Ready", "ready", ""), None)), "starting", "nobody knows where");
    }

    #[test]
    fn game_without_sdk_is_as_ready_as_its_pod() {
        let scheduled = gameserver("Scheduled", "pod", "node");
        for (pod, expected) in [
            (None, "starting"),
            (Some(pod("Pending", "False")), "starting"),
            (Some(pod("Running", "False")), "starting"),
            (Some(pod("Running", "True")), "running"),
            (Some(pod("Failed", "False")), "ended"),
            (Some(pod("Succeeded", "False")), "ended"),
        ] {
            assert_eq!(word(&phase(&scheduled, pod.as_ref())), expected, "{pod:?}");
        }
        assert_eq!(word(&phase(&gameserver("Unhealthy", "pod", "node"), Some(&pod("Running", "True")))), "ended");
    }

    #[test]
    fn ended_container_counts_unless_agones_own() {
        let scheduled = gameserver("Scheduled", "pod", "node");
        for (container, expected) in [("game", "ended"), (SIDECAR, "running")] {
            let mut pod = pod("Running", "True");
            let ended = json!([{
                "name": container, "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": { "terminated": { "exitCode": 139 } },
            }]);
            pod.status.as_mut().expect("a status").container_statuses =
                serde_json::from_value(ended).expect("statuses");
            assert_eq!(word(&phase(&scheduled, Some(&pod))), expected, "{container}");
        }
    }

    #[test]
    fn end_is_good_where_the_game_chose_it() {
        let with = |state: &str, exits: Option<&str>| {
            let mut gameserver = gameserver(state, "pod", "node");
            gameserver.annotations_mut().extend(exits.map(|exits| (names::GOOD_EXITS.to_owned(), exits.to_owned())));
            gameserver
        };
        let exited = |exit: i32, phase: &str, reason: Option<&str>| {
            let mut pod = pod(phase, "False");
            let ended = json!([{
                "name": "game", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": { "terminated": { "exitCode": exit } },
            }]);
            let status = pod.status.as_mut().expect("a status");
            status.container_statuses = serde_json::from_value(ended).expect("statuses");
            status.reason = reason.map(str::to_owned);
            pod
        };
        let good = |gameserver: &GameServer, pod: Option<Pod>| match phase(gameserver, pod.as_ref()) {
            Phase::Ended(end) => end.good,
            other => panic!("{other:?}"),
        };
        let mut shut_down = with("Shutdown", None);
        assert!(good(&shut_down, None));
        shut_down.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-27T00:00:00Z")).ok();
        assert!(good(&shut_down, None), "Agones deletes it then");
        assert!(!good(&with("Unhealthy", None), None) && !good(&with("Error", None), None));
        let scheduled = with("Scheduled", Some("[0,3]"));
        for (exit, phase, reason, is_good) in [
            (0, "Running", None, true),
            (0, "Succeeded", None, true),
            (3, "Failed", None, true),
            (1, "Failed", None, false),
            (0, "Failed", Some("Evicted"), false),
        ] {
            assert_eq!(good(&scheduled, Some(exited(exit, phase, reason))), is_good, "{exit} {phase} {reason:?}");
        }
        let without = with("Scheduled", None);
        assert!(good(&without, Some(exited(0, "Running", None))) && !good(&without, Some(exited(3, "Failed", None))));
    }

    #[test]
    fn fleet_server_is_used_while_allocated() {
        for (state, expected) in [("Allocated", "running"), ("Ready", "ended")] {
            let mut gameserver = gameserver(state, "ready", "node");
            gameserver.metadata.labels = Some([(FLEET.to_owned(), "arena".to_owned())].into());
            assert_eq!(word(&phase(&gameserver, None)), expected, "{state}");
        }
    }

    #[test]
    fn a_pod_says_what_it_waits_for() {
        let waits = |status: serde_json::Value| {
            let pod: Pod = serde_json::from_value(json!({ "metadata": {}, "status": status })).expect("a pod");
            waits_for(&pod)
        };
        let container = |waiting: serde_json::Value| {
            json!({ "containerStatuses": [{ "name": "game", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                                            "state": { "waiting": waiting } }] })
        };
        let pull = container(json!({ "reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\"" }));
        assert_eq!(waits(pull).as_deref(), Some("ImagePullBackOff: Back-off pulling image \"x\""));
        assert_eq!(waits(container(json!({ "reason": "CrashLoopBackOff" }))).as_deref(), Some("CrashLoopBackOff"));
        assert_eq!(waits(container(json!({ "reason": "ContainerCreating" }))), None);
        let unscheduled = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                                                   "message": "0/3 nodes are available" }] });
        assert_eq!(waits(unscheduled).as_deref(), Some("Unschedulable: 0/3 nodes are available"));
        assert_eq!(waits(json!({ "phase": "Running" })), None);
    }

    #[test]
    fn unknown_status_is_no_state() {
        let mut gameserver = gameserver("Ready", "ready", "node");
        gameserver.status = Some(json!({ "state": "Ready", "address": "node", "ports": [{ "port": 70000 }] }));
        let Phase::Unreadable(why) = phase(&gameserver, None) else { panic!("{:?}", phase(&gameserver, None)) };
        assert!(why.contains("agis-1-2") && why.contains("70000"), "{why}");
        gameserver.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-27T00:00:00Z")).ok();
        assert_eq!(word(&phase(&gameserver, None)), "ended", "whatever it was, it is deleted");
    }

    #[test]
    fn game_server_being_deleted_has_ended() {
        let mut gameserver = gameserver("Ready", "ready", "node");
        gameserver.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-27T00:00:00Z")).ok();
        assert!(gameserver.metadata.deletion_timestamp.is_some());
        assert_eq!(word(&phase(&gameserver, None)), "ended");
    }
}
