//! The load generators: wrk for as much as goes, oha for a constant rate.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Paths of the generators, and the duration of a load.
pub(crate) struct Load {
    pub(crate) wrk: PathBuf,
    pub(crate) oha: PathBuf,
    pub(crate) script: PathBuf,
    pub(crate) seconds: u32,
    pub(crate) connections: u32,
}

/// Results of a load generator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Connections that broke, and answers that did not come in time.
    pub(crate) broken: f64,
}

/// Requests of one kind: where, and with which file of keys; `%d` in the path is the number of the key in it.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    pub(crate) url: String,
    pub(crate) path: String,
    pub(crate) keys: PathBuf,
}

/// Prepares one request per key, since to format each when it is sent would cost as much as the answer.
pub(crate) const SCRIPT: &str = r#"
local threads, requests, next_one = 0, {}, 0
function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end
function init(args)
   local n = 0
   for key in io.lines(args[2]) do
      n = n + 1
      requests[n] = wrk.format("GET", string.format(args[1], n), { ["Authorization"] = "Bearer " .. key })
   end
   next_one = math.floor(n / 2) * number
end
function request()
   next_one = next_one % #requests + 1
   return requests[next_one]
end
function done(summary, latency)
   local errors = summary.errors
   io.write(string.format('\n{"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"broken":%d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

impl Load {
    /// As many requests as go, on all connections: the next is sent when the answer is there.
    pub(crate) fn closed(&self, requests: &Requests) -> Result<Seen> {
        let mut wrk = Command::new(&self.wrk);
        wrk.args(["--threads", "2", "--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds), "--timeout", "10s"])
            .arg("--script")
            .arg(&self.script)
            .args([&requests.url, "--", &requests.path])
            .arg(&requests.keys);
        let text = output(&mut wrk)?;
        let line = text.lines().rev().find(|line| line.starts_with('{'));
        Ok(serde_json::from_str(line.ok_or_else(|| Error::new(format!("wrk said: {text}")))?)?)
    }

    /// Requests at a constant rate. What waits because an earlier answer is late counts from when it was due.
    pub(crate) fn constant(&self, url: &str, key: &str, rate: u32) -> Result<Seen> {
        #[derive(Deserialize)]
        struct Report {
            summary: Summary,
            #[serde(rename = "latencyPercentiles")]
            latency: Percentiles,
            #[serde(rename = "statusCodeDistribution")]
            statuses: std::collections::BTreeMap<String, f64>,
        }
        #[derive(Deserialize)]
        struct Summary {
            total: f64,
        }
        #[derive(Deserialize)]
        struct Percentiles {
            p50: f64,
            p99: f64,
        }
        let mut oha = Command::new(&self.oha);
        oha.args(["--no-tui", "--output-format", "json", "--latency-correction"])
            .args(["-q", &rate.to_string(), "-c", &self.connections.to_string()])
            .args(["-z", &format!("{}s", self.seconds * 4)])
            .args(["-H", &format!("Authorization: Bearer {key}"), url]);
        let Report { summary, latency, statuses } = serde_json::from_str(&output(&mut oha)?)?;
        let good = statuses.get("200").copied().unwrap_or_default();
        Ok(Seen {
            requests: statuses.values().sum(),
            seconds: summary.total,
            p50_ms: latency.p50 * 1000.0,
            p99_ms: latency.p99 * 1000.0,
            broken: statuses.values().sum::<f64>() - good,
        })
    }
}

fn output(command: &mut Command) -> Result<String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|error| Error::new(format!("{program}: {error}")))?;
    if !output.status.success() {
        return Err(Error::new(format!("{program}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
