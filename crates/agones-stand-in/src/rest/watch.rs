//! Watches: what happens, told as it happens.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::answer::{Answer, broken};
use super::{Call, read};
use crate::hub::Hub;
use crate::kind::Kind;
use crate::selector::Selector;
use crate::state::World;
use crate::status::{Cause, Result, Status};
use crate::store::Change;

/// How long a watch lasts that does not say so itself.
const LONGEST: Duration = Duration::from_secs(30 * 60);

#[derive(Debug)]
struct Watch {
    open: Open,
    selector: Selector,
    /// Up to which version everything has been told.
    position: u64,
    /// First piece of the stream.
    first: String,
    bookmarks: bool,
    /// Counts at the start: bookmarks, drops, proper ends, compactions.
    seen: [u64; 4],
    deadline: Instant,
    over: bool,
}

/// Counts a watch for as long as it is open.
#[derive(Debug)]
struct Open {
    hub: Arc<Hub>,
    kind: Kind,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.hub.change(|world| {
            let open = &mut world.watches.open;
            if let Some(index) = open.iter().position(|kind| *kind == self.kind) {
                open.swap_remove(index);
            }
        });
    }
}

enum Turn {
    Tell(String),
    /// The last words.
    End(String),
    Cut,
    Wait,
}

fn counts(world: &World) -> [u64; 4] {
    [world.watches.bookmarks, world.watches.dropped, world.watches.ended, world.store.compactions]
}

pub(super) fn open(world: &mut World, hub: &Arc<Hub>, call: &Call, kind: Kind) -> Result<Answer> {
    if !call.parameter("sendInitialEvents").is_empty() {
        let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        let cause = Cause::forbidden("sendInitialEvents", why);
        return Err(Status::invalid_as(("meta.k8s.io", "ListOptions"), "", &[cause]));
    }
    let selector = read::selector(call, kind)?;
    let (from, lasts) = (call.number("resourceVersion")?, call.number("timeoutSeconds")?);
    // Without a version a watch begins with all that there is.
    let all = world.store.list(kind).filter(|object| from == 0 && selector.matches(object));
    let first = all.map(|object| event("ADDED", object)).collect();
    world.watches.open.push(kind);
    let watch = Watch {
        open: Open { hub: Arc::clone(hub), kind },
        selector,
        position: if from == 0 { world.store.version() } else { from },
        first,
        bookmarks: call.asks("allowWatchBookmarks"),
        seen: counts(world),
        deadline: Instant::now() + if lasts == 0 { LONGEST } else { Duration::from_secs(lasts) },
        over: false,
    };
    Ok(Answer::Stream("application/json", stream::unfold(watch, next).boxed_local()))
}

async fn next(mut watch: Watch) -> Option<(io::Result<Bytes>, Watch)> {
    if watch.over {
        return None;
    }
    let hub = Arc::clone(&watch.open.hub);
    let mut changes = hub.listen();
    loop {
        changes.borrow_and_update();
        let piece = match hub.look(|world| watch.turn(world)) {
            Turn::Wait => {
                tokio::select! {
                    changed = changes.changed() => changed.ok()?,
                    () = sleep_until(watch.deadline) => {}
                }
                continue;
            }
            Turn::Tell(text) => Ok(text),
            Turn::End(text) => {
                watch.over = true;
                if text.is_empty() {
                    return None;
                }
                Ok(text)
            }
            Turn::Cut => {
                watch.over = true;
                Err(broken())
            }
        };
        return Some((piece.map(Bytes::from), watch));
    }
}

impl Watch {
    fn turn(&mut self, world: &World) -> Turn {
        let ([bookmarks, dropped, ended, compactions], now) = (self.seen, counts(world));
        if dropped != now[1] {
            return Turn::Cut;
        }
        if !self.first.is_empty() {
            return Turn::Tell(std::mem::take(&mut self.first));
        }
        let Some(changes) = world.store.since(self.position).filter(|_| compactions == now[3]) else {
            let words = format!("too old resource version: {} ({})", self.position, world.store.version());
            return Turn::End(event("ERROR", &Status::expired(words).body()));
        };
        let of_kind = changes.filter(|change| change.kind == self.open.kind);
        let news: String = of_kind.filter_map(|change| self.news(change)).collect();
        self.position = self.position.max(world.store.version());
        if !news.is_empty() {
            return Turn::Tell(news);
        }
        if ended != now[2] || Instant::now() >= self.deadline {
            return Turn::End(if self.bookmarks { self.bookmark() } else { String::new() });
        }
        self.seen[0] = now[0];
        if bookmarks != now[0] && self.bookmarks { Turn::Tell(self.bookmark()) } else { Turn::Wait }
    }

    /// To a watch with a selector, an object that begins to match is new, and one that ceases to is gone.
    fn news(&self, change: &Change) -> Option<String> {
        let of = |side: &Option<Value>| side.as_ref().is_some_and(|object| self.selector.matches(object));
        match (of(&change.before), of(&change.after)) {
            (false, true) => change.after.as_ref().map(|object| event("ADDED", object)),
            (true, true) => change.after.as_ref().map(|object| event("MODIFIED", object)),
            (true, false) => change.before.clone().map(|mut object| {
                object["metadata"]["resourceVersion"] = change.version.to_string().into();
                event("DELETED", &object)
            }),
            (false, false) => None,
        }
    }

    fn bookmark(&self) -> String {
        let (kind, version) = (self.open.kind, self.position.to_string());
        let metadata = json!({"resourceVersion": version, "creationTimestamp": null});
        event("BOOKMARK", &json!({"kind": kind.name(), "apiVersion": kind.api_version(), "metadata": metadata}))
    }
}

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}
