use std::time::{Duration, Instant};

use crate::failure::Result;
use crate::run::{answer, cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::{contract, deny, fmt, grafana, image, k8s, lint, test};

type Step = fn(&Interrupts) -> Result;

const STEPS: [(&str, Step); 9] = [
    ("fmt", |interrupts| fmt::run(&fmt::Args { check: true }, interrupts)),
    ("lint", lint::run),
    ("deny", |interrupts| deny::run(&deny::Args { advisories: false }, interrupts)),
    ("k8s", k8s::check),
    ("test", |interrupts| test::all(&[], interrupts)),
    ("contract", |interrupts| contract::run(&contract::Args::default(), interrupts)),
    ("grafana", grafana::check),
    ("docs", docs),
    ("image", image::check),
];

/// Runs the steps in order and stops at the first that fails.
pub(crate) fn run(interrupts: &Interrupts) -> Result {
    let mut done = Vec::new();
    let mut outcome = Ok(());
    for (name, step) in STEPS {
        let start = Instant::now();
        outcome = step(interrupts);
        done.push((name, outcome.is_ok(), start.elapsed()));
        if outcome.is_err() {
            break;
        }
    }
    summarise(&done);
    outcome
}

fn docs(interrupts: &Interrupts) -> Result {
    step("documentation");
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    run_command(&mut doc, interrupts)
}

fn summarise(done: &[(&str, bool, Duration)]) {
    answer("");
    for (name, passed, took) in done {
        answer(format_args!("{name:<9}{:<8}{:>7.1} s", if *passed { "ok" } else { "FAILED" }, took.as_secs_f64()));
    }
    for (name, _) in &STEPS[done.len()..] {
        answer(format_args!("{name:<9}not run"));
    }
}
