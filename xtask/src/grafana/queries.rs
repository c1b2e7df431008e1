//! The queries of dashboards and alerts, asked of a Prometheus.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::http::{self, Request};
use crate::series;

/// Parts of expressions that have nothing to show here, and why. A part that stands here and does show something is a fault.
pub(super) const NOTHING: [(&str, &str); 5] = [
    ("agis_bot_players_online", "the demo game tells nobody who plays"),
    ("agis_bot_agones_orphans_reaped_total", "there is no cluster"),
    (r#"component="cluster""#, "there is no cluster"),
    ("agis_bot_legacy_token_uses_total", "they are off"),
    (r#"status=~"5..""#, "nothing of ours fails"),
];
/// Values in place of Grafana's variables. None is the beginning of another one's name.
const VALUES: [(&str, &str); 5] =
    [("namespace", ".*"), ("instance", ".*"), ("__rate_interval", "30s"), ("__range", "2m"), ("__interval", "2s")];
const READY: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// Returns an expression as Grafana sends it.
fn written(expr: &str) -> String {
    VALUES.iter().fold(expr.to_owned(), |expr, (name, value)| {
        expr.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    })
}

/// Returns why an expression has nothing to show here, if it is excused.
pub(super) fn excuse(expr: &str) -> Option<&'static str> {
    NOTHING.iter().find(|(part, _)| expr.contains(part)).map(|(_, why)| *why)
}

/// A Prometheus that scrapes what runs here.
pub(super) struct Prometheus(pub(super) String);

impl Prometheus {
    pub(super) fn wait(&self) -> Result {
        let deadline = Instant::now() + READY;
        while !matches!(http::get(&self.0, "/-/ready", None), Ok(200)) {
            if Instant::now() > deadline {
                return Err(Failure::new("Prometheus does not answer; target/grafana/prometheus.log says why"));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Returns the data of an answer, or the error as Prometheus says it.
    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> std::result::Result<Value, String> {
        let encoded = |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        let parameters: Vec<_> = parameters.iter().map(encoded).collect();
        let path = format!("/api/v1/{path}?{}", parameters.join("&"));
        let request = Request { method: "GET", path: &path, key: None, body: None };
        match http::ask(&self.0, request) {
            Ok((200, mut answer)) => Ok(answer["data"].take()),
            Ok((status, answer)) => Err(format!("{status}: {}", answer["error"].as_str().unwrap_or_default())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Returns whether an expression has points: over the time since `begin`, or only now. The quantile of nothing is no number,
    /// and no point.
    pub(super) fn has_data(&self, expr: &str, begin: Option<SystemTime>) -> std::result::Result<bool, String> {
        let expr = written(expr);
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().to_string();
        let answer = match begin {
            None => self.get("query", &[("query", &expr)])?,
            Some(begin) => {
                let (start, end) = (seconds(begin), seconds(SystemTime::now()));
                self.get("query_range", &[("query", &expr), ("start", &start), ("end", &end), ("step", "1")])?
            }
        };
        let series = answer["result"].as_array().into_iter().flatten();
        let points = series.flat_map(|series| {
            let many = series["values"].as_array().into_iter().flatten();
            many.chain(series.get("value"))
        });
        let mut numbers = points.filter_map(|point| point[1].as_str()?.parse::<f64>().ok());
        Ok(numbers.any(f64::is_finite))
    }

    /// Returns the names of all metrics that are scraped.
    pub(super) fn names(&self) -> Result<BTreeSet<String>> {
        let names = self.get("label/__name__/values", &[]).map_err(Failure::new)?;
        Ok(names.as_array().into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect())
    }

    /// Returns what is wrong with the query of a panel.
    pub(super) fn faults(&self, expr: &str, begin: Option<SystemTime>) -> Vec<String> {
        let unknown = series::unknown(expr).into_iter().map(|name| format!("there is no metric {name}"));
        let has_data = match self.has_data(expr, begin) {
            Ok(has_data) => has_data,
            Err(error) => return unknown.chain([error]).collect(),
        };
        let fault = match excuse(expr) {
            None if !has_data => Some(format!("has no data: {}", written(expr))),
            // A sum of nothing that is made zero is data of nothing.
            Some(why) if has_data && !expr.contains("vector(0)") => Some(format!("has data, though {why}")),
            _ => None,
        };
        unknown.chain(fault).collect()
    }

    /// Returns what is wrong with the expression of an alert: the alert is silent where all is well, and the metrics that it
    /// looks at are there.
    pub(super) fn alert_faults(&self, expr: &str) -> Vec<String> {
        let mut found = self.faults(&format!("({expr}) or vector(0)"), None);
        for (name, selector) in series::asked(expr) {
            let asked = format!("{name}{selector}");
            if excuse(&asked).is_none() && !self.has_data(&asked, None).unwrap_or_default() {
                found.push(format!("has no data: {asked}"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn variables_become_what_grafana_sends() {
        let expr = r#"rate(up{namespace=~"$namespace",instance=~"${instance}"}[$__rate_interval])"#;
        assert_eq!(written(expr), r#"rate(up{namespace=~".*",instance=~".*"}[30s])"#);
        assert_eq!(written("increase(up[$__range]) / $__interval"), "increase(up[2m]) / 2s");
    }
}
