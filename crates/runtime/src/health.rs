//! State of a process's components.
//!
//! Not ready (503) only while draining, or while a component that is needed has never worked: an outage of the database
//! must not take every replica out of service. Each component is listed, well or not; what is degraded later is in a 200.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Map, Value};

/// The health of a process.
#[derive(Debug, Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    draining: AtomicBool,
    components: Mutex<BTreeMap<&'static str, ComponentState>>,
}

#[derive(Debug)]
struct ComponentState {
    registered_at: Instant,
    /// Last sign of life; `None` before the first.
    alive_at: Option<Instant>,
    /// Time that a sign of life is good for.
    good_for: Duration,
    /// Whether the process is useless before the first sign.
    needed: bool,
    /// Whether it was left out.
    is_off: bool,
    trouble: Option<String>,
    facts: Map<String, Value>,
}

/// Component of the process, which reports its state.
#[derive(Debug, Clone)]
pub struct Component {
    health: Health,
    name: &'static str,
}

/// Body of `/readyz`, for operators: reasons are in the words of the failure.
#[derive(Debug, PartialEq, Serialize)]
pub struct Report {
    /// `ok`, `degraded`, `starting` or `draining`.
    pub status: &'static str,
    /// Every part of the process, well or not.
    pub components: BTreeMap<&'static str, Condition>,
}

/// State of a component.
#[derive(Debug, PartialEq, Serialize)]
pub struct Condition {
    /// `ok`, `degraded`, `starting`, or `off` where the process was told to do without.
    pub status: &'static str,
    /// Reason why it is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Seconds since its last sign of life; none before the first, or where it gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_s: Option<f64>,
    /// Further facts about the component.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl Report {
    /// Returns whether traffic should come here.
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

    /// Registers a component that is well from the beginning, and gives no sign of life.
    pub fn steady(&self, name: &'static str) -> Component {
        let component = self.register(name, Duration::MAX, false);
        component.ok();
        component
    }

    /// Lists a component that the process was told to do without.
    pub fn off(&self, name: &'static str) {
        self.register(name, Duration::MAX, false);
        if let Some(state) = self.lock().get_mut(name) {
            state.is_off = true;
        }
    }

    fn register(&self, name: &'static str, good_for: Duration, needed: bool) -> Component {
        let state = ComponentState {
            registered_at: Instant::now(),
            alive_at: None,
            good_for,
            needed,
            is_off: false,
            trouble: None,
            facts: Map::new(),
        };
        self.lock().insert(name, state);
        Component { health: self.clone(), name }
    }

    /// Stops traffic from now on.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Returns the state of all components.
    pub fn report(&self) -> Report {
        let states = self.lock();
        let components: BTreeMap<_, _> = states.iter().map(|(name, state)| (*name, state.condition())).collect();
        let status = if self.inner.draining.load(Ordering::Relaxed) {
            "draining"
        } else if states.values().any(|state| state.needed && state.alive_at.is_none()) {
            "starting"
        } else if components.values().all(Condition::is_well) {
            "ok"
        } else {
            "degraded"
        };
        Report { status, components }
    }

    /// Reports the state of all components as metrics.
    pub fn record(&self) {
        for (name, state) in self.lock().iter().filter(|(_, state)| state.good_for < Duration::MAX) {
            let up = if state.trouble().is_none() { 1.0 } else { 0.0 };
            metrics::gauge!("agis_bot_component_up", "component" => *name).set(up);
            let silence = state.alive_at.unwrap_or(state.registered_at).elapsed();
            metrics::gauge!("agis_bot_component_silence_seconds", "component" => *name).set(silence);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, ComponentState>> {
        self.inner.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    fn is_well(&self) -> bool {
        matches!(self.status, "ok" | "off")
    }
}

impl ComponentState {
    fn trouble(&self) -> Option<String> {
        if self.is_off || self.trouble.is_some() {
            return self.trouble.clone();
        }
        let Some(at) = self.alive_at else { return Some("not yet started".to_owned()) };
        let age = Some(at.elapsed()).filter(|age| *age > self.good_for);
        age.map(|age| format!("no sign of life for {} s", age.as_secs()))
    }

    fn condition(&self) -> Condition {
        let why = self.trouble();
        let status = match &why {
            _ if self.is_off => "off",
            None => "ok",
            Some(_) if self.alive_at.is_none() => "starting",
            Some(_) => "degraded",
        };
        // To the tenth: more says nothing.
        let signs = self.alive_at.filter(|_| self.good_for < Duration::MAX);
        let silent_s = signs.map(|at| (at.elapsed().as_secs_f64() * 10.0).round() / 10.0);
        Condition { status, why, silent_s, facts: self.facts.clone() }
    }
}

impl Component {
    /// Reports a sign of life.
    pub fn ok(&self) {
        if let Some(state) = self.health.lock().get_mut(self.name) {
            if state.alive_at.is_some() && state.trouble.is_some() {
                tracing::info!(component = self.name, "recovered");
            }
            state.alive_at = Some(Instant::now());
            state.trouble = None;
        }
    }

    /// Adds a fact about the component, until it is set anew; null removes it.
    pub fn note(&self, name: &str, value: impl Into<Value>) {
        if let Some(state) = self.health.lock().get_mut(self.name) {
            match value.into() {
                Value::Null => drop(state.facts.remove(name)),
                value => drop(state.facts.insert(name.to_owned(), value)),
            }
        }
    }

    /// Reports trouble; the text says why, to an operator.
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

    /// The status of the whole, whether traffic may come, and what is said of one component.
    fn look(health: &Health, name: &str) -> (&'static str, bool, &'static str, String) {
        let mut report = health.report();
        let is_ready = report.is_ready();
        let condition = report.components.remove(name).expect("a component");
        (report.status, is_ready, condition.status, condition.why.unwrap_or_default())
    }

    #[test]
    fn ready_after_all_worked_until_draining() {
        let health = Health::default();
        let (database, scheduler) = (health.component("database", LONG), health.component("scheduler", LONG));
        assert_eq!(look(&health, "database"), ("starting", false, "starting", "not yet started".to_owned()));
        database.ok();
        assert!(!health.report().is_ready());
        scheduler.ok();
        assert_eq!(look(&health, "database"), ("ok", true, "ok", String::new()));

        database.trouble("refused");
        assert_eq!(look(&health, "database"), ("degraded", true, "degraded", "refused".to_owned()));

        database.ok();
        health.drain();
        assert_eq!(look(&health, "database"), ("draining", false, "ok", String::new()));
    }

    #[test]
    fn optional_component_is_waited_for_by_nobody() {
        let health = Health::default();
        let (database, redis) = (health.component("database", LONG), health.optional("redis", LONG));
        assert_eq!(health.report().status, "starting");
        database.ok();
        redis.trouble("refused");
        assert_eq!(look(&health, "redis"), ("degraded", true, "starting", "refused".to_owned()));
        redis.ok();
        assert_eq!(health.report().status, "ok");
    }

    #[test]
    fn healthy_components_are_listed() {
        let health = Health::default();
        let scheduler = health.component("scheduler", LONG);
        health.off("redis");
        scheduler.ok();
        scheduler.note("lag_s", 3);
        scheduler.note("lag_s", 0);
        scheduler.note("why", "late");
        scheduler.note("why", Value::Null);
        let report = serde_json::to_value(health.report()).expect("JSON");
        let expected = serde_json::json!({
            "status": "ok",
            "components": { "redis": { "status": "off" }, "scheduler": { "status": "ok", "silent_s": 0.0, "lag_s": 0 } },
        });
        assert_eq!(report, expected);
    }

    #[test]
    fn silence_degrades() {
        let health = Health::default();
        health.component("scheduler", Duration::ZERO).ok();
        std::thread::yield_now();
        assert_eq!(look(&health, "scheduler").3, "no sign of life for 0 s");
    }
}
