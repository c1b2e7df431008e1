//! The programs' logs: each line of level WARN or ERROR is expected for a reason, or a problem.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use serde_json::Value;

use crate::{
    error::Result,
    problems::{Problems, say},
};

/// Messages that are expected, and the storm that explains each.
const EXPECTED: [(&str, &str); 19] = [
    // PostgreSQL was away, or ended while a statement ran.
    ("degraded", "a component is named while PostgreSQL, Redis or Discord is away"),
    ("database is unavailable", "PostgreSQL was away"),
    ("connection for notifications was lost", "PostgreSQL was away"),
    ("connection for notifications failed", "PostgreSQL was away"),
    ("background job failed", "PostgreSQL was away"),
    ("due operations could not be read", "PostgreSQL was away"),
    ("operations could not be claimed", "PostgreSQL was away"),
    ("end of an operation could not be written", "PostgreSQL was away; the worker writes it again"),
    ("leases could not be renewed", "PostgreSQL was away"),
    ("operations wait until their leases end", "PostgreSQL was away"),
    ("operation could not be given back", "PostgreSQL was away; its lease ends"),
    ("start waits until its lease ends", "PostgreSQL was away"),
    ("firings wait for their operations", "PostgreSQL was away"),
    ("firing could not be ended", "PostgreSQL was away"),
    ("result of a notice could not be stored", "PostgreSQL was away"),
    ("response could not be stored for its idempotency key", "PostgreSQL was away"),
    ("idempotent request could not be given up", "PostgreSQL was away"),
    // A clock that jumps over minutes makes their slots late or missed.
    ("scheduled runs were missed", "the clock jumped, or PostgreSQL was away"),
    ("end of an interaction could not be stored", "PostgreSQL was away"),
];

/// Reads a log to its end, and reports what nobody expects.
pub(crate) fn judge(name: &str, path: &Path, problems: &Problems) -> Result {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        let Ok(entry) = serde_json::from_str::<Value>(&line) else {
            // Half a line, where the process was killed as it wrote.
            if !line.trim().is_empty() && !line.starts_with('{') {
                problems.found(&format!("{name} wrote what is no line of its log"), line);
            }
            continue;
        };
        if !["WARN", "ERROR"].contains(&entry["level"].as_str().unwrap_or_default()) {
            continue;
        }
        let message = entry["message"].as_str().unwrap_or_default();
        match EXPECTED.iter().find(|(expected, _)| *expected == message) {
            Some(_) => *seen.entry(message.to_owned()).or_default() += 1,
            None => problems.found(&format!("{name} logged: {message}"), line),
        }
    }
    for (message, count) in seen {
        let reason = EXPECTED.iter().find(|(expected, _)| *expected == message).map_or("", |(_, reason)| *reason);
        say(&format!("{name}: {count} x \"{message}\" ({reason})"));
    }
    Ok(())
}
