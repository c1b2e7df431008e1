//! An operation that expires before anybody has begun with it leaves its server as it was.

use tokio_postgres::Client;

use crate::{
    billing::{ON, OVER, one, priced, until},
    common::{Api, Stack},
};

/// Asks for an operation that expires, as no process serves the server's host meanwhile.
async fn expire(api: &Api, sql: &Client, server: i64, action: &str) {
    let host: String = one(sql, &format!("select host from game_servers where id = {server}")).await;
    let live = async |host: &str| {
        sql.execute("update game_servers set host = $1 where id = $2", &[&host, &(server as i32)])
            .await
            .expect("moved");
    };
    live("elsewhere").await;
    let operation = api.ask(server, action).await;
    let old = format!("update operations set created_at = now() - interval '2 hours' where id = '{operation}'");
    sql.batch_execute(&old).await.expect("old");
    assert_eq!(api.ended(&operation).await["state"], "expired");
    live(&host).await;
}

#[tokio::test]
async fn server_with_an_expired_stop_runs_and_pays() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&ON).await;
    let server = priced(&api, &sql, 10).await;
    api.act(server, "start").await;
    let game = async || stack.process_of(server).expect("a process")["game"]["pid"].as_i64();
    let pid = game().await;
    until(&sql, "the first hour", "select count(*) = 1 from credit_ledger where kind = 'charge'").await;
    expire(&api, &sql, server, "stop").await;
    sql.batch_execute(OVER).await.expect("the time is over");
    until(&sql, "the second hour", "select count(*) = 2 from credit_ledger where kind = 'charge'").await;
    // The start finds that the server runs, and begins nothing anew.
    api.act(server, "start").await;
    assert_eq!(game().await, pid);
}

#[tokio::test]
async fn start_after_an_expired_one_is_paid() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&ON).await;
    let server = priced(&api, &sql, 100).await;
    expire(&api, &sql, server, "start").await;
    sql.batch_execute("update users set credits = 0").await.expect("spent");
    api.call("POST", &format!("/api/v1/servers/{server}/start"), None).await.expect(402);
}
