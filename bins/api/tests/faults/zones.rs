//! Time zones change while schedules are planned.

use std::{fs, path::PathBuf};

use agis_test_support::wait;
use serde_json::json;

use crate::{
    common::{SOON, Stack},
    fleet::{self, HOST, ON_HOST},
};

/// A folder of time zones with one zone, which has one offset all year.
struct Zones(PathBuf);

impl Zones {
    fn new(stack: &Stack) -> Self {
        let folder = stack.data_dir().join("zones");
        fs::create_dir_all(folder.join("Test")).expect("a folder");
        Self(folder)
    }

    fn publish(&self, version: &str, hours: i32) {
        fs::write(self.0.join("Test/Zone"), tzif(hours)).expect("a file");
        fs::write(self.0.join("tzdata.zi"), format!("# version {version}\n")).expect("a file");
    }

    fn setting(&self) -> (&'static str, &str) {
        ("TZDIR", self.0.to_str().expect("text"))
    }
}

/// RFC 8536, version 2: two blocks with one type of local time, and the rule in the footer.
fn tzif(hours: i32) -> Vec<u8> {
    let mut block = b"TZif2".to_vec();
    block.extend([0; 15]);
    block.extend([0_u32, 0, 0, 0, 1, 4].iter().flat_map(|count| count.to_be_bytes()));
    block.extend((hours * 3600).to_be_bytes());
    block.extend(*b"\0\0TST\0");
    [block.clone(), block, format!("\nTST-{hours}\n").into_bytes()].concat()
}

#[tokio::test]
async fn new_zone_data_moves_plans_and_loses_no_run() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let zones = Zones::new(&stack);
    zones.publish("2031a", 1);
    let api = stack.api(&[ON_HOST, zones.setting()]).await;
    let server: i32 = fleet::one(
        &sql,
        &format!(
            "insert into game_servers (discord_id, name, game_type, host, desired)
             values ('{}', 'zoned', 'sleeper', '{HOST}', 'running') returning id",
            crate::common::OWNER
        ),
    )
    .await;
    // Due in half an hour by the old offset, and half an hour ago by the new one.
    let at = "to_char(now() at time zone 'UTC' + interval '1 hour 30 minutes', 'FMMI FMHH24')";
    let cron = format!("{} * * *", fleet::one::<String>(&sql, &format!("select {at}")).await);
    let mut made = vec![];
    for policy in ["run_once", "skip"] {
        let body = json!({ "server_id": server, "action": "stop", "cron_expression": cron, "timezone": "test/zone",
                           "missed_run_policy": policy });
        made.push(api.post("/api/v1/schedules", body).await.expect(201));
    }
    assert_eq!(made[0]["timezone"], "Test/Zone");
    let ahead: bool = fleet::one(
        &sql,
        "select bool_and(next_run between now() and now() + interval '31 minutes'
                                               and zone_version = '2031a') from server_schedules",
    )
    .await;
    assert!(ahead, "{made:?}");
    sql.batch_execute("update server_schedules set planned_at = now() - interval '12 hours'").await.expect("planned");

    api.stop().await;
    zones.publish("2031b", 2);
    let _api = stack.api(&[ON_HOST, zones.setting()]).await;
    wait::until(SOON, "the schedules to be planned again", async || {
        let states = "select string_agg(r.state, ' ' order by r.schedule_id) from schedule_runs r
                      join server_schedules s on s.id = r.schedule_id
                      where s.zone_version = '2031b' and r.slot between now() - interval '32 minutes' and now()
                      and s.next_run = r.slot + interval '1 day'";
        let states: Option<String> = fleet::one(&sql, states).await;
        (states.as_deref() == Some("succeeded missed")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn zone_data_version_is_told() {
    let stack = Stack::start().await;
    let zones = Zones::new(&stack);
    zones.publish("2031a", 1);
    let output = stack.output(&[zones.setting()], &["--version"]);
    let said = String::from_utf8(output.stdout).expect("text");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(said, format!("agis-api {version}\ntime zones 2031a of {}\n", zones.0.display()));

    let refused = stack.output(&[("TZDIR", "/nowhere")], &["serve"]);
    let error = String::from_utf8(refused.stderr).expect("text");
    assert!(refused.status.code() == Some(1) && error.contains("TZDIR=/nowhere"), "{error}");
}
