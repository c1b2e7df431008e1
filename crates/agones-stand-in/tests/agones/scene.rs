//! Common start of all tests.

use agis_agones_stand_in::{Cluster, NAMESPACE};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config};
use serde_json::{Value, json};

pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = Cluster::start().await;
        let file = Kubeconfig::from_yaml(&cluster.kubeconfig()).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(file, &options).await.expect("a configuration");
        // Else the client itself tries 429, 503 and 504 again, fifteen times and for minutes.
        config.default_retry = false;
        assert_eq!(config.default_namespace, NAMESPACE);
        Self { client: Client::try_from(config).expect("a client"), cluster }
    }

    pub(crate) fn config_maps(&self) -> Api<ConfigMap> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn game_servers(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("agones.dev", "v1", "GameServer");
        let resource = ApiResource::from_gvk_with_plural(&kind, "gameservers");
        Api::default_namespaced_with(self.client.clone(), &resource)
    }

    pub(crate) fn allocations(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("allocation.agones.dev", "v1", "GameServerAllocation");
        let resource = ApiResource::from_gvk_with_plural(&kind, "gameserverallocations");
        Api::default_namespaced_with(self.client.clone(), &resource)
    }
}

/// Turns JSON into the type that the client takes.
pub(crate) fn typed<T: k8s_openapi::serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("of this type")
}

pub(crate) fn config_map(name: &str, data: Value) -> ConfigMap {
    typed(json!({"metadata": {"name": name}, "data": data}))
}

/// A GameServer whose game behaves in a way.
pub(crate) fn game_server(name: &str, behaviour: &str) -> Value {
    let environment = json!([{"name": agis_agones_stand_in::GAME, "value": behaviour}]);
    json!({
        "apiVersion": "agones.dev/v1",
        "kind": "GameServer",
        "metadata": {"name": name, "labels": {"app": "test"}},
        "spec": {
            "ports": [{"name": "game", "containerPort": 25565, "protocol": "TCP"}],
            "template": {
                "metadata": {"labels": {"from": "template"}},
                "spec": {"containers": [{"name": "game", "image": "example.invalid/game", "env": environment}]},
            },
        },
    })
}

pub(crate) fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    })
}

/// The refusal of the server, which has to be one.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: kube::Result<T>) -> Status {
    match answer {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("no refusal: {other:?}"),
    }
}
