//! The games that run, as the kernel knows them: each is of a server that is `running`, and each such server has one.

use std::{collections::BTreeMap, fs, path::Path};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio_postgres::Client;

use crate::{error::Result, problems::Problems};

/// The supervisors that live, by the id of their server.
pub(crate) fn supervisors(data: &Path) -> BTreeMap<i32, i32> {
    let servers = fs::read_dir(data.join("servers")).into_iter().flatten().flatten();
    servers
        .filter_map(|server| {
            let id = server.file_name().to_str()?.parse().ok()?;
            let status: Value = serde_json::from_slice(&fs::read(server.path().join("status.json")).ok()?).ok()?;
            let pid = status["shim"]["pid"].as_i64()?.try_into().ok()?;
            is_supervisor(pid).then_some((id, pid))
        })
        .collect()
}

pub(crate) async fn judge(sql: &Client, data: &Path, problems: &Problems) -> Result {
    let mut running = supervisors(data);
    for row in sql.query("select id from game_servers where status = 'running' and deleted_at is null", &[]).await? {
        let server: i32 = row.get(0);
        if running.remove(&server).is_none() {
            problems.found("a server that is shown as running and has no game", server.to_string());
        }
    }
    for server in running.keys() {
        problems.found("a game that runs although its server does not", server.to_string());
    }
    Ok(())
}

/// Games outlive `agis-api` by design, not this run.
pub(crate) fn end(data: &Path) {
    for pid in supervisors(data).into_values().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// A number that the system has given to somebody else meanwhile is not killed.
fn is_supervisor(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"agis-shim"))
}
