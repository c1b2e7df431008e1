//! A minute in the life of AGIS: a little of everything that is counted.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::api::{Api, USER};
use crate::failure::{Failure, Result};
use crate::http::{self, Request};
use crate::signals::Interrupts;

/// A schedule fires at the full minute, and is counted once its operation has ended; the servers are counted every 15 s. On a
/// busy machine all of it takes longer.
const LONGEST: Duration = Duration::from_secs(180);
/// The time until rates over half a minute have something to show.
const SHORTEST: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_millis(500);
/// A key that nobody has.
const UNKNOWN: &str = "agis_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// Calls the API and the stand-in for Discord as people do.
pub(super) struct Minute<'a> {
    api: &'a Api<'a>,
    /// The address of the stand-in for Discord.
    discord: &'a str,
    servers: Vec<Value>,
    /// A key of few requests.
    small: String,
    /// A console that somebody looks at.
    _console: TcpStream,
}

impl<'a> Minute<'a> {
    /// Starts two servers, one of which crashes later; makes a schedule for the next minute, and a key of few requests.
    pub(super) fn begin(api: &'a Api<'a>, discord: &'a str) -> Result<Self> {
        let made = |path: &str, body: Option<Value>| -> Result<Value> {
            match call(api, "POST", path, api.key(), body.as_ref())? {
                (200..300, made) => Ok(made),
                (status, problem) => Err(Failure::new(format!("POST {path}: {status} {problem}"))),
            }
        };
        let mut servers = vec![];
        for number in 0..3 {
            servers.push(
                made("/servers", Some(json!({"name": format!("demo {number}"), "game_type": "demo"})))?["id"].take(),
            );
        }
        for server in &servers[..2] {
            made(&format!("/servers/{server}/start"), None)?;
        }
        let each_minute = json!({
            "server_id": servers[2], "action": "start", "cron_expression": "* * * * *", "timezone": "UTC",
        });
        made("/schedules", Some(each_minute))?;
        let small = json!({"name": "small", "scopes": ["read:servers"], "rate_limit": 5});
        let small = made("/auth/keys", Some(small))?["key"].as_str().unwrap_or_default().to_owned();
        let path = format!("/api/v1/servers/{}/logs?follow=true", servers[0]);
        let follow = Request { method: "GET", path: &path, key: Some(api.key()), body: None };
        let console = http::send(api.host(), follow)?;
        Ok(Self { api, discord, servers, small, _console: console })
    }

    /// Acts until everything was counted that takes its time.
    pub(super) fn play(&self, is_done: impl Fn() -> bool, interrupts: &Interrupts) -> Result {
        let began = Instant::now();
        for turn in 0.. {
            self.act(turn)?;
            let took = began.elapsed();
            if took > LONGEST || (took > SHORTEST && is_done()) {
                break;
            }
            if interrupts.wait(PAUSE).is_some() {
                return Err(Failure::Interrupted);
            }
        }
        Ok(())
    }

    /// Makes the calls that callers repeat; some of them are wrong.
    fn act(&self, turn: u32) -> Result {
        let own = self.api.key();
        let server = format!("/servers/{}", self.servers[0]);
        for path in ["/servers", "/users/me", "/schedules", &server, "/games", "/servers/999999"] {
            call(self.api, "GET", path, own, None)?;
        }
        call(self.api, "GET", "/servers", UNKNOWN, None)?;
        call(self.api, "GET", "/servers", &self.small, None)?;
        call(self.api, "POST", "/servers", own, Some(&json!({"name": ""})))?;
        if turn.is_multiple_of(5) {
            call(self.api, "POST", &format!("/servers/{}/restart", self.servers[1]), own, None)?;
            for line in ["/server list", "/schedule list", "/profile", "/help"] {
                let body = json!({"user": USER, "line": line});
                let command = Request { method: "POST", path: "/standin/command", key: None, body: Some(&body) };
                http::ask(self.discord.trim_start_matches("http://"), command)?;
            }
        }
        Ok(())
    }
}

fn call(api: &Api<'_>, method: &str, path: &str, key: &str, body: Option<&Value>) -> Result<(u16, Value)> {
    let path = format!("/api/v1{path}");
    Ok(http::ask(api.host(), Request { method, path: &path, key: Some(key), body })?)
}
