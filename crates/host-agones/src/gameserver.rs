//! What Agones says of a GameServer.

use agis_servers::host::{Endpoint, Observed};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    core::{ApiResource, GroupVersionKind, Object},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names;

/// A GameServer; of its spec nothing is read.
pub(crate) type GameServer = Object<Value, Status>;

/// `status`, as far as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) state: String,
    pub(crate) address: String,
    pub(crate) ports: Option<Vec<Port>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Port {
    pub(crate) port: u16,
}

/// `agones.dev/v1`, kind GameServer.
pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("agones.dev", "v1", "GameServer"), "gameservers")
}

/// What a GameServer is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not ready for players yet.
    Starting,
    /// Ready for players.
    Running(Endpoint),
    /// Over, for people.
    Ended(String),
}

impl Phase {
    pub(crate) fn observed(self, generation: i64) -> Observed {
        match self {
            Self::Starting => Observed::Starting { generation },
            Self::Running(endpoint) => Observed::Running { generation, endpoint },
            Self::Ended(how) => Observed::Ended { generation, how, good: false },
        }
    }
}

/// Whether it is on its way out.
pub(crate) fn is_going(gameserver: &GameServer) -> bool {
    gameserver.metadata.deletion_timestamp.is_some()
}

/// Whether this game says by its pod that it is ready.
pub(crate) fn is_ready_by_pod(gameserver: &GameServer) -> bool {
    gameserver.annotations().get(names::READY).is_some_and(|by| by == "pod")
}

/// The states of Agones' GameServers (agones.dev/site/docs/reference/gameserver) in our words. `pod` is looked at where
/// the game says by it that it is ready.
pub(crate) fn phase(gameserver: &GameServer, pod: Option<&Pod>) -> Phase {
    if is_going(gameserver) {
        return Phase::Ended("its game server was deleted in the cluster".into());
    }
    let Some(status) = &gameserver.status else { return Phase::Starting };
    match status.state.as_str() {
        "Ready" if gameserver.labels().contains_key(FLEET) => {
            Phase::Ended("the game said again that it is ready, by which it went back to its Fleet".into())
        }
        "Ready" | "Allocated" | "Reserved" => endpoint(status).map_or(Phase::Starting, Phase::Running),
        "Scheduled" if is_ready_by_pod(gameserver) => match pod.map(pod_phase) {
            Some(PodPhase::Ready) => endpoint(status).map_or(Phase::Starting, Phase::Running),
            Some(PodPhase::Ended(how)) => Phase::Ended(how),
            Some(PodPhase::Unready) | None => Phase::Starting,
        },
        "Shutdown" => {
            Phase::Ended("it was shut down: by the game itself, or by Agones, which found it unhealthy".into())
        }
        "Error" => Phase::Ended("Agones could not make its game server (state Error)".into()),
        "Unhealthy" => Phase::Ended(
            "Agones found it unhealthy: it stopped reporting, its container ended, or its pod was evicted".into(),
        ),
        // PortAllocation, Creating, Starting, Scheduled, RequestReady, and what a later Agones may add.
        _ => Phase::Starting,
    }
}

fn endpoint(status: &Status) -> Option<Endpoint> {
    let port = status.ports.as_ref()?.first()?.port;
    (!status.address.is_empty()).then(|| Endpoint { address: status.address.clone(), port })
}

/// By this label Agones tells a Fleet's GameServers. Those in use are `Allocated`.
const FLEET: &str = "agones.dev/fleet";

/// What a pod says of why it does not run: no node for it, or a container that waits.
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

/// Agones' own container in a pod.
const SIDECAR: &str = "agones-gameserver-sidecar";

enum PodPhase {
    Unready,
    Ready,
    Ended(String),
}

fn pod_phase(pod: &Pod) -> PodPhase {
    let Some(status) = &pod.status else { return PodPhase::Unready };
    match status.phase.as_deref() {
        Some("Succeeded") => return PodPhase::Ended("its pod has ended".into()),
        Some("Failed") => {
            let why = status.reason.as_deref().or(status.message.as_deref()).unwrap_or("it gave no reason");
            return PodPhase::Ended(format!("its pod has failed: {why}"));
        }
        _ => {}
    }
    // The game's own container is over where it is not begun again; Agones' helper beside it goes on.
    let terminated = status.container_statuses.iter().flatten().filter(|it| it.name != SIDECAR).find_map(|it| {
        let ended = it.state.as_ref()?.terminated.as_ref()?;
        Some(PodPhase::Ended(format!("its container ended with status {}", ended.exit_code)))
    });
    if let Some(ended) = terminated {
        return ended;
    }
    let is_ready = |it: &k8s_openapi::api::core::v1::PodCondition| it.type_ == "Ready" && it.status == "True";
    match pod.metadata.deletion_timestamp.is_none() && status.conditions.iter().flatten().any(is_ready) {
        true => PodPhase::Ready,
        false => PodPhase::Unready,
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(ready, Phase::Running(Endpoint { address: "192.0.2.7".into(), port: 7001 }));
        assert_eq!(word(&phase(&gameserver("Ready", "ready", ""), None)), "starting", "nobody knows where");
    }

    #[test]
    fn a_game_that_does_not_know_the_sdk_is_as_ready_as_its_pod() {
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
    fn a_container_that_ended_is_an_end_unless_it_is_agones_s_own() {
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
    fn a_fleet_s_game_server_is_in_use_only_while_it_is_allocated() {
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
    fn what_is_being_deleted_has_ended() {
        let mut gameserver = gameserver("Ready", "ready", "node");
        gameserver.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-27T00:00:00Z")).ok();
        assert!(gameserver.metadata.deletion_timestamp.is_some());
        assert_eq!(word(&phase(&gameserver, None)), "ended");
    }
}
