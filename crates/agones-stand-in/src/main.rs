//! The stand-in for Kubernetes with Agones as a program.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use agis_agones_stand_in::{Cluster, FENCES, NAMESPACE};
use clap::Parser;
use serde_json::json;

/// How many GameServers its Fleet has.
const REPLICAS: u32 = 2;

/// Stands in for Kubernetes with Agones until it is ended. Prints the settings that AGIS needs.
#[derive(Debug, Parser)]
struct Arguments {
    /// The file to write for KUBECONFIG
    kubeconfig: PathBuf,
    /// The name of a Fleet to begin with; an empty one is none
    #[arg(default_value = "")]
    fleet: String,
    /// The port of the API; 0 takes a free one
    #[arg(default_value_t = 0)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let Arguments { kubeconfig, fleet, port } = Arguments::parse();
    let cluster = Cluster::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?)?;
    std::fs::write(&kubeconfig, cluster.kubeconfig())?;
    if !fleet.is_empty() {
        put_fleet(&cluster, &fleet);
    }
    let settings = format!("AGONES_NAMESPACE={NAMESPACE}\nAGONES_FENCES_NAMESPACE={FENCES}");
    writeln!(io::stdout(), "{}\nKUBECONFIG={}\n{settings}", cluster.url(), kubeconfig.display())?;
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
