//! Users of REST: each has a server that schedules work on, and makes others, plays with them, and deletes them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    client::{Answer, Client},
    problems::Problems,
};

/// How long an operation may take, with outages: its lease, an outage, and the game.
const ENDS: Duration = Duration::from_secs(240);

/// An operation that was accepted: it must exist, and end.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) server: i64,
}

/// Everything that the programs promised to all players.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promised {
    accepted: Arc<Mutex<Vec<Accepted>>>,
    schedules: Arc<Mutex<Vec<i64>>>,
    wishes: Arc<AtomicI64>,
}

impl Promised {
    pub(crate) fn accepted(&self) -> Vec<Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many things were asked for, over REST and in Discord: what is stored comes of them, and of firings.
    pub(crate) fn wishes(&self) -> i64 {
        self.wishes.load(Ordering::Relaxed)
    }

    pub(crate) fn wish(&self) {
        self.wishes.fetch_add(1, Ordering::Relaxed);
    }

    /// The schedules that fire each minute, or each other minute.
    pub(crate) fn schedules(&self) -> Vec<i64> {
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) struct Player {
    pub(crate) client: Client,
    pub(crate) promised: Promised,
    pub(crate) problems: Problems,
}

impl Player {
    /// Makes the servers that schedules work on: one is restarted each minute, one started and stopped in turns.
    pub(crate) async fn settle(&self) {
        for (name, schedules) in [
            ("kept", &[("restart", "* * * * *")][..]),
            ("turns", &[("start", "*/2 * * * *"), ("stop", "1-59/2 * * * *")][..]),
        ] {
            let Some(server) = self.create(name).await else { continue };
            for (action, cron) in schedules {
                let body = json!({ "server_id": server, "action": action, "cron_expression": cron });
                let made = self.wish(Method::POST, "/api/v1/schedules", Some(body)).await;
                if let Some(id) = made.and_then(|made| made.body["id"].as_i64()) {
                    self.promised.schedules.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                }
            }
        }
    }

    /// Lives of servers, one after another, until this moment.
    pub(crate) async fn play(&self, until: Instant) {
        let mut life = 0;
        while Instant::now() < until {
            life += 1;
            if let Some(server) = self.create(&format!("life {life}")).await {
                self.live(server, until).await;
                self.delete(server).await;
            }
        }
    }

    async fn live(&self, server: i64, until: Instant) {
        self.act(server, "start").await;
        for _ in 0..fastrand::u32(1..5) {
            if Instant::now() >= until {
                break;
            }
            pause(500..4000).await;
            match fastrand::u32(0..10) {
                0..3 => self.act(server, "restart").await,
                3 => {
                    self.act(server, "stop").await;
                    self.act(server, "start").await;
                }
                // In the same moment: the later wins.
                4 => {
                    let (stop, start) = tokio::join!(self.ask(server, "stop"), self.ask(server, "start"));
                    for operation in [stop, start].into_iter().flatten() {
                        self.ended(&operation).await;
                    }
                }
                5..7 => {
                    let body = json!({ "command": "say hello" });
                    self.wish(Method::POST, &format!("/api/v1/servers/{server}/command"), Some(body)).await;
                }
                _ => {
                    for path in ["logs?tail=20", "operations", "schedules"] {
                        self.client.send(Method::GET, &format!("/api/v1/servers/{server}/{path}"), None).await;
                    }
                }
            }
        }
        self.act(server, "stop").await;
    }

    async fn wish(&self, method: Method, path: &str, body: Option<Value>) -> Option<Answer> {
        self.promised.wish();
        self.client.send(method, path, body).await
    }

    async fn create(&self, name: &str) -> Option<i64> {
        let body = json!({ "name": name, "game_type": "demo" });
        let made = self.wish(Method::POST, "/api/v1/servers", Some(body)).await?;
        let id = made.body["id"].as_i64();
        if id.is_none() {
            self.problems.found("a server that was not created", made.body.to_string());
        }
        id
    }

    /// The answer to a deletion may be lost, and its repetition then finds nothing: so its operation is not among what was
    /// promised.
    async fn delete(&self, server: i64) {
        self.wish(Method::DELETE, &format!("/api/v1/servers/{server}"), None).await;
    }

    async fn act(&self, server: i64, action: &str) {
        if let Some(operation) = self.ask(server, action).await {
            self.ended(&operation).await;
        }
    }

    async fn ask(&self, server: i64, action: &str) -> Option<String> {
        let answer = self.wish(Method::POST, &format!("/api/v1/servers/{server}/{action}"), None).await?;
        let id = answer.body["id"].as_str().filter(|_| answer.status == 202).map(str::to_owned);
        match &id {
            Some(id) => {
                let accepted = Accepted { id: id.clone(), server };
                self.promised.accepted.lock().unwrap_or_else(PoisonError::into_inner).push(accepted);
            }
            None => self.problems.found(&format!("a {action} that was refused"), answer.body.to_string()),
        }
        id
    }

    async fn ended(&self, operation: &str) {
        let (began, path) = (Instant::now(), format!("/api/v1/operations/{operation}"));
        let mut last = Value::Null;
        while began.elapsed() < ENDS {
            if let Some(answer) = self.client.send(Method::GET, &path, None).await {
                if answer.body["finished_at"].is_string() {
                    return;
                }
                last = answer.body;
            }
            pause(200..600).await;
        }
        self.problems.found(&format!("an operation that did not end within {ENDS:?}"), last.to_string());
    }
}

async fn pause(millis: std::ops::Range<u64>) {
    sleep(Duration::from_millis(fastrand::u64(millis))).await;
}
