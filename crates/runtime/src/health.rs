//! What works, and what does not.
//!
//! Not ready (503) only while draining, or while a component that is needed has never worked: an outage of the database
//! must not take every replica out of service. What is degraded later is named in a 200.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

/// The health of a process.
#[derive(Debug, Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    draining: AtomicBool,
    components: Mutex<BTreeMap<&'static str, State>>,
}

#[derive(Debug)]
struct State {
    registered_at: Instant,
    /// The last sign of life; none before the first.
    alive_at: Option<Instant>,
    /// How long a sign of life is good for.
    good_for: Duration,
    /// Whether the process is good for nothing before the first.
    needed: bool,
    trouble: Option<String>,
}

/// A part of the process that reports how it is.
#[derive(Debug, Clone)]
pub struct Component {
    health: Health,
    name: &'static str,
}

/// What `/readyz` answers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `ok`, `degraded`, `starting` or `draining`.
    pub status: &'static str,
    /// What does not work, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub degraded: BTreeMap<&'static str, String>,
}

impl Report {
    /// Whether traffic should come here.
    pub fn is_ready(&self) -> bool {
        matches!(self.status, "ok" | "degraded")
    }
}

impl Health {
    /// Registers a component. The process is not ready before its first [`Component::ok`], and degraded when `good_for`
    /// passes without another.
    pub fn component(&self, name: &'static str, good_for: Duration) -> Component {
        self.register(name, good_for, true)
    }

    /// Registers a component that the process can do without: it is named while it does not work, and never keeps the
    /// process from being ready.
    pub fn optional(&self, name: &'static str, good_for: Duration) -> Component {
        self.register(name, good_for, false)
    }

    fn register(&self, name: &'static str, good_for: Duration, needed: bool) -> Component {
        let trouble = Some("not yet started".into());
        let state = State { registered_at: Instant::now(), alive_at: None, good_for, needed, trouble };
        self.lock().insert(name, state);
        Component { health: self.clone(), name }
    }

    /// From now on no traffic should come here.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// How everything is.
    pub fn report(&self) -> Report {
        let components = self.lock();
        let degraded: BTreeMap<_, _> =
            components.iter().filter_map(|(name, state)| state.trouble().map(|trouble| (*name, trouble))).collect();
        let status = if self.inner.draining.load(Ordering::Relaxed) {
            "draining"
        } else if components.values().any(|state| state.needed && state.alive_at.is_none()) {
            "starting"
        } else if degraded.is_empty() {
            "ok"
        } else {
            "degraded"
        };
        Report { status, degraded }
    }

    /// Says in metrics how everything is.
    pub fn record(&self) {
        for (name, state) in self.lock().iter() {
            let up = if state.trouble().is_none() { 1.0 } else { 0.0 };
            metrics::gauge!("agis_bot_component_up", "component" => *name).set(up);
            let silence = state.alive_at.unwrap_or(state.registered_at).elapsed();
            metrics::gauge!("agis_bot_component_silence_seconds", "component" => *name).set(silence);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.inner.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn trouble(&self) -> Option<String> {
        let silent = self.alive_at.map(|at| at.elapsed()).filter(|age| *age > self.good_for);
        let silent = silent.map(|age| format!("no sign of life for {} s", age.as_secs()));
        self.trouble.clone().or(silent)
    }
}

impl Component {
    /// It works.
    pub fn ok(&self) {
        if let Some(state) = self.health.lock().get_mut(self.name) {
            if state.alive_at.is_some() && state.trouble.is_some() {
                tracing::info!(component = self.name, "recovered");
            }
            state.alive_at = Some(Instant::now());
            state.trouble = None;
        }
    }

    /// It does not; the text says why, to an operator.
    pub fn trouble(&self, why: &str) {
        if let Some(state) = self.health.lock().get_mut(self.name) {
            if state.trouble.as_deref() != Some(why) {
                tracing::warn!(component = self.name, why, "degraded");
            }
            state.trouble = Some(why.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn ready_after_every_component_has_worked_once_and_until_draining() {
        let health = Health::default();
        let (database, scheduler) = (health.component("database", LONG), health.component("scheduler", LONG));
        assert_eq!(health.report().status, "starting");
        database.ok();
        assert!(!health.report().is_ready());
        scheduler.ok();
        assert_eq!(health.report(), Report { status: "ok", degraded: BTreeMap::new() });

        database.trouble("refused");
        let report = health.report();
        assert_eq!((report.status, report.is_ready()), ("degraded", true));
        assert_eq!(report.degraded["database"], "refused");

        database.ok();
        health.drain();
        assert_eq!((health.report().status, health.report().is_ready()), ("draining", false));
    }

    #[test]
    fn what_is_optional_is_named_and_waited_for_by_nobody() {
        let health = Health::default();
        let (database, redis) = (health.component("database", LONG), health.optional("redis", LONG));
        assert_eq!(health.report().status, "starting");
        database.ok();
        redis.trouble("refused");
        let report = health.report();
        assert_eq!((report.status, report.degraded["redis"].as_str()), ("degraded", "refused"));
        redis.ok();
        assert_eq!(health.report().status, "ok");
    }

    #[test]
    fn silence_degrades() {
        let health = Health::default();
        health.component("scheduler", Duration::ZERO).ok();
        std::thread::yield_now();
        assert_eq!(health.report().degraded["scheduler"], "no sign of life for 0 s");
    }
}
