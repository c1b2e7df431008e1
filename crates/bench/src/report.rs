//! Results, as a table for people and as JSON for machines.

use std::{fmt::Write as _, io::Write as _, path::Path};

use serde::Serialize;

use crate::error::Result;

/// A line of an answer on stdout.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Prints the current step on stderr.
pub(crate) fn step(text: &str) {
    let _ = writeln!(std::io::stderr(), "==> {text}");
}

/// Everything that one run has measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Whether the data was small and the time short: nothing to be judged by.
    pub(crate) quick: bool,
    pub(crate) cores: usize,
    pub(crate) http: Vec<Http>,
    pub(crate) values: Vec<Value>,
    pub(crate) targets: Vec<Target>,
}

/// One kind of request at full load: medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Http {
    pub(crate) name: &'static str,
    pub(crate) status: u16,
    pub(crate) body_bytes: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) server_cpu_ms_per_1000: f64,
    pub(crate) postgres_cpu_ms_per_1000: f64,
    pub(crate) broken: f64,
}

/// A number that is no rate.
#[derive(Debug, Serialize)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// Target of a measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) measured: f64,
    pub(crate) bound: f64,
    pub(crate) unit: &'static str,
    pub(crate) reached: bool,
}

impl Report {
    pub(crate) fn value(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.values.push(Value { name: name.into(), value, unit });
    }

    pub(crate) fn at_least(&mut self, name: impl Into<String>, measured: f64, bound: f64) {
        self.targets.push(Target { name: name.into(), measured, bound, unit: "x", reached: measured >= bound });
    }

    pub(crate) fn at_most(&mut self, name: impl Into<String>, measured: f64, bound: f64, unit: &'static str) {
        self.targets.push(Target { name: name.into(), measured, bound, unit, reached: measured <= bound });
    }

    pub(crate) fn write(&self, file: &Path) -> Result {
        Ok(std::fs::write(file, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Tables in Markdown, so that they can go into a page as they are.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        self.tables(&mut text).unwrap_or_else(|_| text.push_str("(cut off)"));
        text
    }

    fn tables(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "| request | answer | requests/s | p50 ms | p99 ms | server CPU ms/1,000 | Postgres CPU ms/1,000 |"
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|")?;
        for it in &self.http {
            writeln!(
                text,
                "| {} | {}, {} B | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} |",
                it.name,
                it.status,
                it.body_bytes,
                it.per_second,
                it.p50_ms,
                it.p99_ms,
                it.server_cpu_ms_per_1000,
                it.postgres_cpu_ms_per_1000,
            )?;
        }
        writeln!(text, "\n| measured | |\n|---|---|")?;
        for Value { name, value, unit } in &self.values {
            writeln!(text, "| {name} | {value:.2} {unit} |")?;
        }
        writeln!(text, "\n| target | | measured | |\n|---|---|---|---|")?;
        for Target { name, measured, bound, unit, reached } in &self.targets {
            let relation = if *unit == "x" { "at least" } else { "at most" };
            let reached = if *reached { "reached" } else { "MISSED" };
            writeln!(text, "| {name} | {relation} {bound} {unit} | {measured:.2} {unit} | {reached} |")?;
        }
        Ok(())
    }
}

/// The middle one; the lower of two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 50)
}

/// The smallest value that this many percent do not exceed.
pub(crate) fn percentile(values: impl IntoIterator<Item = f64>, percent: usize) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}
