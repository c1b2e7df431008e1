//! A database for each test.

use agis_local_services::postgres::{Cluster, Options};
use agis_test_support::Database;
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
async fn every_database_is_new_and_is_dropped() {
    let cluster = Cluster::start(Options::throwaway()).expect("start");
    let server = cluster.url("postgres");
    let (one, two) = (Database::create_on(&server).await, Database::create_on(&server).await);
    assert_ne!(one.name(), two.name());
    let held_open = connect(one.url()).await;
    assert_eq!(one_string(&held_open, "SELECT current_database()::text").await, one.name());

    drop((one, two));
    let left = connect(&server).await.query("SELECT 1 FROM pg_database WHERE datname LIKE 'test%'", &[]).await;
    assert!(left.expect("query").is_empty());
}
