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
const EXPECTED: [(&str, &str); 26] = [
    // PostgreSQL was away, or ended while a statement ran.
    ("degraded", "a component is named while PostgreSQL, Redis or Discord is away"),
    ("the database is not available", "PostgreSQL was away"),
    ("the connection for notices was lost", "PostgreSQL was away"),
    ("the connection for notices is given up", "PostgreSQL was away"),
    ("a background job failed and will be tried again", "PostgreSQL was away"),
    ("the scheduler will try again", "PostgreSQL was away"),
    ("servers could not be watched", "PostgreSQL was away"),
    ("no operations could be looked for", "PostgreSQL was away"),
    ("no operations could be claimed", "PostgreSQL was away"),
    ("the end could not be written", "PostgreSQL was away; the worker writes it again"),
    ("leases could not be prolonged", "PostgreSQL was away"),
    ("operations wait until their leases end", "PostgreSQL was away"),
    ("an operation could not be given back", "PostgreSQL was away; its lease ends"),
    ("a start waits for its lease", "PostgreSQL was away"),
    ("firings wait for their operations", "PostgreSQL was away"),
    ("a firing could not be ended", "PostgreSQL was away"),
    ("ended operations are noted in their schedules' histories later", "PostgreSQL was away"),
    ("hours of servers are charged later", "PostgreSQL was away"),
    ("notices wait", "PostgreSQL was away"),
    ("promised answers could not be noted; it is tried again", "PostgreSQL was away"),
    ("answers of processes that died wait", "PostgreSQL was away"),
    ("what became of a notice could not be noted", "PostgreSQL was away"),
    ("an answer could not be kept; the request is in flight until its lease ends", "PostgreSQL was away"),
    ("a request could not be given up; it is in flight until its lease ends", "PostgreSQL was away"),
    // A clock that jumps over minutes makes their slots late or missed.
    ("scheduled runs were missed; each stands in its schedule's history", "the clock jumped, or PostgreSQL was away"),
    ("the end of an interaction could not be noted; it is in flight until its lease ends", "PostgreSQL was away"),
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
