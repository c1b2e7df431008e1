//! System metrics of this process, under the names that every program uses for them.
//!
//! `metrics-process` 2.4 records the same names, but its processor time is a counter of whole seconds or a gauge, since a
//! counter of `metrics` holds no fraction. A rate over a minute needs the fraction.

use std::{
    fmt::Write,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::described;

/// Approximate start of the process: its metrics begin with it.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Renders the metrics in Prometheus' text format. Processor time is a fractional counter, which the recorder lacks.
pub(super) fn render(started: f64, text: &mut String) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let samples = [
        ("process_cpu_seconds_total", Some(cpu_seconds())),
        ("process_resident_memory_bytes", field(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024.0)),
        ("process_open_fds", fs::read_dir("/proc/self/fd").ok().map(|entries| count(entries.count() as u64))),
        ("process_max_fds", getrlimit(Resource::Nofile).current.map(count)),
        ("process_threads", field(&status, "Threads:")),
        ("process_start_time_seconds", Some(started)),
    ];
    for (name, value) in samples {
        let Some((value, of)) = value.zip(described::ALL.iter().find(|of| of.name == name)) else { continue };
        let kind = if of.kind == described::Kind::Counter { "counter" } else { "gauge" };
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n", of.help);
    }
}

#[expect(clippy::cast_precision_loss, reason = "no process is that old")]
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Reads a number in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^52 of anything")]
fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_has_all_metrics() {
        let mut text = String::new();
        render(now(), &mut text);
        let has = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok()).is_some_and(|value| value > 0.0)
        };
        for of in described::ALL.iter().filter(|of| of.name.starts_with("process_")) {
            assert!(has(of.name), "{}:\n{text}", of.name);
        }
    }
}
