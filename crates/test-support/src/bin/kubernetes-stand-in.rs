//! The stand-in for Kubernetes by itself: writes a file for `KUBECONFIG`, then serves until it is ended.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};

use agis_test_support::kubernetes::{Cluster, FENCES, NAMESPACE};
use serde_json::json;

/// How many GameServers its Fleet has.
const REPLICAS: u32 = 2;

/// `kubernetes-stand-in KUBECONFIG [FLEET] [PORT]`
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || io::Error::other("usage: kubernetes-stand-in KUBECONFIG [FLEET] [PORT]");
    let kubeconfig = arguments.next().ok_or_else(usage)?;
    let fleet = arguments.next().filter(|fleet| !fleet.is_empty());
    let port = arguments.next().map_or(Ok(0), |port| port.parse()).map_err(|_| usage())?;
    let cluster = Cluster::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?)?;
    std::fs::write(&kubeconfig, cluster.kubeconfig())?;
    if let Some(fleet) = fleet {
        put_fleet(&cluster, &fleet);
    }
    let settings = format!("AGONES_NAMESPACE={NAMESPACE}\nAGONES_FENCES_NAMESPACE={FENCES}");
    writeln!(io::stdout(), "{}\nKUBECONFIG={kubeconfig}\n{settings}", cluster.url())?;
    // Whoever started it ends it.
    std::future::pending().await
}

fn put_fleet(cluster: &Cluster, name: &str) {
    let game = json!({"containers": [{"name": "game", "image": "example.invalid/game"}]});
    let ports = json!([{"name": "game", "containerPort": 7777}]);
    cluster.put(json!({
        "apiVersion": "agones.dev/v1",
        "kind": "Fleet",
        "metadata": {"name": name},
        "spec": {"replicas": REPLICAS, "template": {"spec": {"ports": ports, "template": {"spec": game}}}},
    }));
}
