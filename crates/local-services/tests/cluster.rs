//! A real cluster: set up, started, restarted, stopped, and left behind.

use agis_local_services::postgres::{Cluster, Options};
use tokio_postgres::{Client, NoTls};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connect");
    tokio::spawn(connection);
    client
}

async fn one_string(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.expect(query).get(0)
}

#[tokio::test]
async fn restart_keeps_port_and_data() {
    let mut cluster = Cluster::start(Options::throwaway().max_connections(20)).expect("start");
    let url = cluster.url("postgres");
    let client = connect(&url).await;
    let folder = one_string(&client, "SHOW data_directory").await;
    assert_eq!(one_string(&client, "SHOW fsync").await, "off");
    client.batch_execute("CREATE TABLE kept AS SELECT 'kept' AS word").await.expect("write");

    cluster.restart().expect("restart");
    assert_eq!(cluster.url("postgres"), url);
    let client = connect(&url).await;
    assert_eq!(one_string(&client, "SELECT word FROM kept").await, "kept");
    assert_eq!(one_string(&client, "SHOW data_directory").await, folder);

    cluster.stop();
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
    drop(cluster);
    assert!(!std::path::Path::new(&folder).exists());
}

#[tokio::test]
async fn a_password_is_needed() {
    let cluster = Cluster::start(Options::throwaway()).expect("start");
    let url = format!("postgres://agis:guess@127.0.0.1:{}/postgres", cluster.port());
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
}

#[tokio::test]
async fn durable_cluster_takes_over_leftovers() {
    let dir = std::env::temp_dir().join(format!("agis-cluster-test-{}", std::process::id()));
    let cluster = Cluster::start(Options::durable(&dir)).expect("first start");
    let url = cluster.url("kept");
    cluster.create_database("kept").expect("create");
    cluster.create_database("kept").expect("create what exists");
    // As a killed process would: the server runs on, and nobody holds it.
    std::mem::forget(cluster);

    let cluster = Cluster::start(Options::durable(&dir)).expect("second start");
    assert_eq!(cluster.url("kept"), url);
    assert_eq!(one_string(&connect(&url).await, "SHOW fsync").await, "on");
    std::mem::forget(cluster);

    Cluster::remove(&dir).expect("remove");
    assert!(!dir.exists());
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
}
