//! Logs of pods.

use std::io;
use std::sync::Arc;

use actix_web::web::Bytes;
use chrono::{DateTime, Duration, SubsecRound, Utc};
use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use super::Call;
use super::answer::Answer;
use crate::hub::Hub;
use crate::kind::Kind;
use crate::meta;
use crate::state::World;
use crate::status::{Result, Status};

/// A log that somebody follows.
struct Following {
    hub: Arc<Hub>,
    pod: String,
    uid: String,
    position: usize,
    timestamps: bool,
    dropped: u64,
}

pub(super) fn answer(world: &World, hub: &Arc<Hub>, call: &Call, name: &str) -> Result<Answer> {
    let pod = world.store.find(Kind::Pod, name)?;
    check(pod, call.parameter("container"))?;
    let lines = world.logs.get(meta::uid(pod)).map_or(&[][..], Vec::as_slice);
    let since = since(call)?;
    let mut start = lines.iter().position(|line| since.is_none_or(|since| time(line) >= since)).unwrap_or(lines.len());
    if !call.parameter("tailLines").is_empty() {
        start = start.max(lines.len().saturating_sub(usize::try_from(call.number("tailLines")?).unwrap_or(usize::MAX)));
    }
    let timestamps = call.asks("timestamps");
    if !call.asks("follow") {
        let mut log = text(&lines[start..], timestamps).into_bytes();
        if !call.parameter("limitBytes").is_empty() {
            // Wherever in a line, or in a letter, that is.
            log.truncate(usize::try_from(call.number("limitBytes")?).unwrap_or(usize::MAX));
        }
        return Ok(Answer::text(log));
    }
    let following = Following {
        hub: Arc::clone(hub),
        pod: name.to_owned(),
        uid: meta::uid(pod).to_owned(),
        position: start,
        timestamps,
        dropped: world.watches.dropped,
    };
    Ok(Answer::Stream("text/plain", stream::unfold(following, next).boxed_local()))
}

/// A pod has to run, and of its containers one has to be named: Agones has added another.
fn check(pod: &Value, container: &str) -> Result<()> {
    let name = meta::name(pod);
    let containers: Vec<_> = pod["spec"]["containers"].as_array().into_iter().flatten().collect();
    let names: Vec<_> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    let list = names.join(" ");
    if container.is_empty() && names.len() > 1 {
        let words = format!("a container name must be specified for pod {name}, choose one of: [{list}]");
        return Err(Status::bad_request(words));
    }
    let wanted = if container.is_empty() { list.as_str() } else { container };
    if !names.contains(&wanted) {
        return Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}")));
    }
    if pod["status"]["phase"] == "Pending" {
        let words = format!("container {wanted:?} in pod {name:?} is waiting to start: ContainerCreating");
        return Err(Status::bad_request(words));
    }
    Ok(())
}

fn since(call: &Call) -> Result<Option<DateTime<Utc>>> {
    if !call.parameter("sinceSeconds").is_empty() {
        let seconds = i64::try_from(call.number("sinceSeconds")?).unwrap_or(i64::MAX / 1_000_000);
        return Ok(Some(Utc::now() - Duration::seconds(seconds)));
    }
    match call.parameter("sinceTime") {
        "" => Ok(None),
        text => DateTime::parse_from_rfc3339(text)
            // The API server passes whole seconds on to the kubelet.
            .map(|time| Some(time.to_utc().trunc_subsecs(0)))
            .map_err(|error| Status::bad_request(format!("sinceTime: {error}"))),
    }
}

/// When a line was printed.
fn time(line: &str) -> DateTime<Utc> {
    let time = line.split_once(' ').map_or(line, |(time, _)| time);
    DateTime::parse_from_rfc3339(time).map(|time| time.to_utc()).unwrap_or_default()
}

fn text(lines: &[String], timestamps: bool) -> String {
    let line = |line: &String| {
        let text = if timestamps { line } else { line.split_once(' ').map_or("", |(_, text)| text) };
        format!("{text}\n")
    };
    lines.iter().map(line).collect()
}

async fn next(mut log: Following) -> Option<(io::Result<Bytes>, Following)> {
    let hub = Arc::clone(&log.hub);
    let mut changes = hub.listen();
    loop {
        changes.borrow_and_update();
        let (news, is_over, is_cut) = hub.look(|world| {
            let lines = world.logs.get(&log.uid).map_or(&[][..], Vec::as_slice);
            let news = text(&lines[log.position.min(lines.len())..], log.timestamps);
            log.position = lines.len();
            let pod = world.store.get(Kind::Pod, &log.pod);
            (news, pod.is_none_or(|pod| meta::uid(pod) != log.uid), world.watches.dropped != log.dropped)
        });
        if !news.is_empty() {
            return Some((Ok(news.into()), log));
        }
        if is_cut {
            return Some((Err(super::answer::broken()), log));
        }
        if is_over {
            return None;
        }
        changes.changed().await.ok()?;
    }
}
