//! Requests at full load, round by round, each kind next to the others; and at a constant rate.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    api::Server,
    error::{Error, Result},
    load::{Load, Requests, Seen},
    process,
    report::{Http, Report, median, step},
};

/// Requests a second at the constant rate, and the slowest answer but one in a hundred that is good enough.
const RATE: u32 = 1000;
const RATE_P99_MS: f64 = 10.0;
const OVER_TLS: &str = "users/me, TLS to the database";
/// The share of `users/me` that must be left when every connection to the database speaks TLS.
const TLS_LEAVES: f64 = 0.9;

/// The servers, and the postmaster behind them.
pub(crate) struct Stage<'a> {
    pub(crate) api: &'a Server,
    /// Another, whose connections to the database speak TLS.
    pub(crate) over_tls: Option<&'a Server>,
    pub(crate) baseline: &'a Server,
    pub(crate) postmaster: u32,
    /// The folder of the files of keys.
    pub(crate) keys: &'a Path,
}

struct Kind<'a> {
    name: &'static str,
    server: &'a Server,
    requests: Requests,
    status: u16,
    body_bytes: usize,
    /// Two of each round.
    halves: Vec<Half>,
}

struct Half {
    seen: Seen,
    server_ms: f64,
    postgres_ms: f64,
}

impl Half {
    fn per_second(&self) -> f64 {
        self.seen.requests / self.seen.seconds
    }
}

impl Stage<'_> {
    /// Measures every kind of request twice in every round, in one order and then in the other: a machine that gets slower
    /// or faster meanwhile does so for all kinds alike, and none profits from the kind before it.
    pub(crate) fn full_load(&self, load: &Load, rounds: usize, report: &mut Report) -> Result {
        let mut kinds = self.kinds()?;
        let forth = 0..kinds.len();
        for round in 1..=rounds {
            step(&format!("requests at full load, round {round} of {rounds}"));
            for kind in forth.clone().chain(forth.clone().rev()) {
                let kind = &mut kinds[kind];
                let measured = self.half(load, kind)?;
                kind.halves.push(measured);
            }
        }
        ratios(&kinds, report);
        report.http = kinds.iter().map(Kind::medians).collect();
        Ok(())
    }

    fn kinds(&self) -> Result<Vec<Kind<'_>>> {
        let mut kinds = vec![
            self.kind("users/me", self.api, "/api/v1/users/me", "keys", &[200])?,
            self.kind("one query, pooled with a check", self.baseline, "/checked/%d", "keys", &[200])?,
            self.kind("one query, pooled", self.baseline, "/pooled/%d", "keys", &[200])?,
            self.kind("one query, pipelined", self.baseline, "/pipelined/%d", "keys", &[200])?,
            self.kind("servers", self.api, "/api/v1/servers", "keys", &[200])?,
            self.spent("429", "/api/v1/users/me")?,
            // Many failures from one address may be answered by 429, so what it is stands in the table.
            self.kind("unknown key", self.api, "/api/v1/users/me", "unknown", &[401, 429])?,
            self.kind("malformed key", self.api, "/api/v1/users/me", "malformed", &[401, 429])?,
        ];
        let bare =
            [("bare, as users/me", 0), ("bare, as servers", 4), ("bare, as 429", 5), ("bare, as unknown key", 6)];
        for (name, like) in bare {
            let path = format!("/bare/{}", kinds[like].body_bytes);
            kinds.push(self.kind(name, self.baseline, &path, "keys", &[200])?);
        }
        if let Some(server) = self.over_tls {
            // Right after what it is held against.
            kinds.insert(1, self.kind(OVER_TLS, server, "/api/v1/users/me", "keys", &[200])?);
        }
        Ok(kinds)
    }

    fn kind<'s>(
        &self,
        name: &'static str,
        server: &'s Server,
        path: &str,
        keys: &str,
        expected: &[u16],
    ) -> Result<Kind<'s>> {
        let keys = self.keys.join(keys);
        let (status, body_bytes) = server.get(&path.replace("%d", "1"), &first(&keys)?)?;
        if !expected.contains(&status) {
            return Err(Error::new(format!("{name}: {path} answers {status}")));
        }
        let requests = Requests { url: server.url(), path: path.to_owned(), keys };
        Ok(Kind { name, server, requests, status, body_bytes, halves: vec![] })
    }

    /// With keys whose one request of the hour is spent.
    fn spent(&self, name: &'static str, path: &str) -> Result<Kind<'_>> {
        for key in fs::read_to_string(self.keys.join("poor"))?.lines() {
            self.api.get(path, key)?;
        }
        self.kind(name, self.api, path, "poor", &[429])
    }

    fn half(&self, load: &Load, kind: &Kind<'_>) -> Result<Half> {
        let pid = kind.server.pid();
        let (server, postgres) = (process::cpu_ms(pid)?, process::family_cpu_ms(self.postmaster)?);
        let seen = load.closed(&kind.requests)?;
        let server_ms = process::cpu_ms(pid)? - server;
        let postgres_ms = process::family_cpu_ms(self.postmaster)? - postgres;
        Ok(Half { seen, server_ms, postgres_ms })
    }

    /// Measures the latency at a rate that is no load to speak of.
    pub(crate) fn constant_rate(&self, load: &Load, rounds: usize, report: &mut Report) -> Result {
        let key = first(&self.keys.join("keys"))?;
        let mut measured: BTreeMap<&str, Vec<Seen>> = BTreeMap::new();
        for round in 1..=rounds {
            step(&format!("{RATE} requests/s, round {round} of {rounds}"));
            for (name, url) in [
                ("users/me", format!("{}/api/v1/users/me", self.api.url())),
                ("bare", format!("{}/bare/100", self.baseline.url())),
            ] {
                measured.entry(name).or_default().push(load.constant(&url, &key, RATE)?);
            }
        }
        for (name, rounds) in &measured {
            report.value(
                format!("{name} at {RATE}/s: sent"),
                median(rounds.iter().map(|it| it.requests / it.seconds)),
                "/s",
            );
            report.value(format!("{name} at {RATE}/s: p50"), median(rounds.iter().map(|it| it.p50_ms)), "ms");
            report.value(format!("{name} at {RATE}/s: p99"), median(rounds.iter().map(|it| it.p99_ms)), "ms");
            report.value(format!("{name} at {RATE}/s: not 200"), rounds.iter().map(|it| it.broken).sum(), "");
        }
        let p99 = median(measured.get("users/me").into_iter().flatten().map(|it| it.p99_ms));
        report.at_most(format!("p99 at {RATE}/s"), p99, RATE_P99_MS, "ms");
        Ok(())
    }
}

impl Kind<'_> {
    /// Returns the requests per second of each round.
    fn rounds(&self) -> impl Iterator<Item = f64> {
        let of = |halves: &[Half], value: fn(&Seen) -> f64| halves.iter().map(|half| value(&half.seen)).sum::<f64>();
        self.halves.chunks(2).map(move |both| of(both, |it| it.requests) / of(both, |it| it.seconds))
    }

    fn medians(&self) -> Http {
        let median = |of: &dyn Fn(&Half) -> f64| median(self.halves.iter().map(of));
        Http {
            name: self.name,
            status: self.status,
            body_bytes: self.body_bytes,
            per_second: median(&Half::per_second),
            p50_ms: median(&|half| half.seen.p50_ms),
            p99_ms: median(&|half| half.seen.p99_ms),
            server_cpu_ms_per_1000: median(&|half| half.server_ms / half.seen.requests * 1000.0),
            postgres_cpu_ms_per_1000: median(&|half| half.postgres_ms / half.seen.requests * 1000.0),
            broken: self.halves.iter().map(|half| half.seen.broken).sum(),
        }
    }
}

/// Ratios within a round, and their medians.
fn ratios(kinds: &[Kind<'_>], report: &mut Report) {
    let ratio = |of: &str, to: &str| {
        let rounds = |name: &str| kinds.iter().find(|kind| kind.name == name).into_iter().flat_map(Kind::rounds);
        median(rounds(of).zip(rounds(to)).map(|(of, to)| of / to))
    };
    let checked = "one query, pooled with a check";
    report.value("users/me : one query, pooled with a check", ratio("users/me", checked), "x");
    report.at_least("users/me : one query, pooled", ratio("users/me", "one query, pooled"), 1.2);
    report.at_least("users/me : one query, pipelined", ratio("users/me", "one query, pipelined"), 0.65);
    if kinds.iter().any(|kind| kind.name == OVER_TLS) {
        report.at_least("users/me, TLS to the database : users/me", ratio(OVER_TLS, "users/me"), TLS_LEAVES);
    }
    report.at_least("429 : bare", ratio("429", "bare, as 429"), 0.8);
    report.value("users/me : bare", ratio("users/me", "bare, as users/me"), "x");
    report.value("servers : bare", ratio("servers", "bare, as servers"), "x");
    report.value("servers : one query, pooled", ratio("servers", "one query, pooled"), "x");
    report.value("unknown key : bare", ratio("unknown key", "bare, as unknown key"), "x");
    report.value("unknown key : one query, pooled", ratio("unknown key", "one query, pooled"), "x");
    report.value("malformed key : bare", ratio("malformed key", "bare, as unknown key"), "x");
}

fn first(keys: &PathBuf) -> Result<String> {
    let text = fs::read_to_string(keys)?;
    text.lines().next().map(str::to_owned).ok_or_else(|| Error::new(format!("{} is empty", keys.display())))
}
