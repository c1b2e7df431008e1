//! `agis-api hosts`

use agis_program::settings;
use agis_servers::{
    host::Room,
    store::{HostState, HostStore, LetGo},
};
use agis_storage::{Db, DbConfig};
use chrono::SecondsFormat;

use crate::{
    cli::{Failure, HostsCommand, answer},
    config,
};

/// Hosts that are read at once.
const PIECE: u32 = 100;

pub(crate) async fn hosts(command: Option<HostsCommand>) -> Result<(), Failure> {
    let url = config::database_url(&settings::environment).map_err(Failure::from_display)?;
    let db = Db::new(&DbConfig { url, connections: 2 }).map_err(Failure::from_display)?;
    if !db.is_migrated().await.map_err(Failure::from_display)? {
        return Err(Failure::new("the database lacks this version's schema; run 'agis-api migrate up' first"));
    }
    match command {
        None => list(&db).await,
        Some(HostsCommand::Adopt { name }) => adopt(&db, &name).await,
    }
}

async fn list(db: &Db) -> Result<(), Failure> {
    let mut after: Option<String> = None;
    loop {
        let hosts = db.hosts(after.as_deref(), PIECE).await.map_err(Failure::from_display)?;
        for host in &hosts {
            answer(&page(host))?;
        }
        match hosts.last() {
            Some(last) => after = Some(last.name.clone()),
            None if after.is_none() => return answer("no host has reported yet"),
            None => return Ok(()),
        }
    }
}

async fn adopt(db: &Db, name: &str) -> Result<(), Failure> {
    match db.let_go(name).await.map_err(Failure::from_display)? {
        LetGo::Done => answer(&format!("the next process that reports the host '{name}' has it")),
        LetGo::Unknown => Err(Failure::new(format!("no process has reported a host '{name}'; see 'agis-api hosts'"))),
        LetGo::Served => Err(Failure::new(format!(
            "a process serves the host '{name}' at this moment, or did until a moment ago: stop that process, wait for 15 \
             seconds, and try again"
        ))),
    }
}

/// Describes a host in a few lines.
fn page(host: &HostState) -> String {
    let HostState { name, kind, served, seen_at, running, servers, report } = host;
    let report = report.clone().unwrap_or_default();
    let seen = seen_at.map_or_else(
        || "never reported".to_owned(),
        |at| format!("last report {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)),
    );
    let standing = if *served { "served".to_owned() } else { format!("NOT SERVED, {seen}") };
    let mut lines = vec![
        format!("{name} ({}): {standing}", kind.as_deref().unwrap_or("unknown kind")),
        format!("  servers   {running} running of {servers}"),
    ];
    let rooms = [("disk", report.disk), ("memory", report.memory)];
    lines.extend(rooms.iter().filter_map(|(what, room)| Some(format!("  {what:<9} {}", described((*room)?)))));
    if !report.abilities.able.is_empty() {
        lines.push(format!("  can       {}", report.abilities.able.join(", ")));
    }
    lines.extend(report.abilities.unable.iter().map(|it| format!("  CANNOT    {}: {}", it.what, it.why)));
    lines.extend(report.containment.contained.iter().map(|it| format!("  contained {}: {}", it.what, it.by)));
    lines.extend(report.containment.missing.iter().map(|it| format!("  MISSING   {it}")));
    lines.join("\n")
}

#[expect(clippy::cast_precision_loss, reason = "a tenth of a GiB is shown")]
fn described(Room { free, size }: Room) -> String {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    format!("{:.1} GiB free of {:.1} GiB", gib(free), gib(size))
}
