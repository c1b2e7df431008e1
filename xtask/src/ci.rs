//! `cargo xtask ci`: everything that a change must pass, in two lanes.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::failure::{Failure, Result};
use crate::run::{answer, end, step};
use crate::signals::Interrupts;
use crate::{slowest, state};

/// A step is a command line of this program; its first word names it.
type Step = &'static [&'static str];

/// Compiles, then mostly waits: the tests last longest.
const FRONT: &[Step] = &[&["build"], &["test"]];
/// Needs no build at first; `contract` waits for cargo until the build of the front lane is there.
const BESIDE: &[Step] = &[
    &["fmt", "--check"],
    &["deny"],
    &["k8s", "check"],
    &["contract"],
    &["grafana", "check"],
    &["image", "--check"],
    &["lint"],
    &["docs"],
];
/// Steps that compile beside the tests, and leave the processors to them: tests have deadlines.
const POLITE: &[&str] = &["lint", "docs"];
const PAUSE: Duration = Duration::from_millis(100);

/// Runs both lanes. A lane ends with its first failure; the other one goes on, so that one run shows more than one failure.
pub(crate) fn run(interrupts: &Interrupts) -> Result {
    let start = Instant::now();
    let mut lanes = [Lane::new(FRONT, None), Lane::new(BESIDE, Some(state::target()?.join("ci")))];
    while lanes.iter().any(|lane| !lane.is_over()) {
        for lane in &mut lanes {
            lane.advance()?;
        }
        if let Some(interrupt) = interrupts.wait(PAUSE) {
            for running in lanes.iter_mut().filter_map(|lane| lane.running.as_mut()) {
                end(&mut running.process, interrupt)?;
            }
            return Err(Failure::Interrupted);
        }
    }
    if lanes[0].done.len() == FRONT.len() {
        slowest::print()?;
    }
    answer("");
    lanes.iter().for_each(Lane::summarise);
    answer(format_args!("{:<17}{:>7.1} s", "together", start.elapsed().as_secs_f64()));
    match lanes.iter().all(Lane::has_passed) {
        true => Ok(()),
        false => Err(Failure::new("not every step passed")),
    }
}

/// Steps that run one after another.
struct Lane {
    steps: &'static [Step],
    /// The folder that keeps what each step prints until it has ended. Without one the steps print at once.
    logs: Option<PathBuf>,
    done: Vec<(bool, Duration)>,
    running: Option<Running>,
}

struct Running {
    process: Child,
    start: Instant,
    log: Option<PathBuf>,
}

impl Lane {
    fn new(steps: &'static [Step], logs: Option<PathBuf>) -> Self {
        Self { steps, logs, done: vec![], running: None }
    }

    fn is_over(&self) -> bool {
        self.running.is_none() && (self.done.len() == self.steps.len() || self.has_failed())
    }

    fn has_failed(&self) -> bool {
        self.done.iter().any(|(passed, _)| !passed)
    }

    fn has_passed(&self) -> bool {
        self.done.len() == self.steps.len() && !self.has_failed()
    }

    /// Starts the next step, or ends the one that runs if its process has ended.
    fn advance(&mut self) -> Result {
        let Some(running) = &mut self.running else {
            if !self.is_over() {
                self.running = Some(self.start(self.steps[self.done.len()])?);
            }
            return Ok(());
        };
        if let Some(status) = running.process.try_wait()? {
            if let Some(log) = &running.log {
                io::copy(&mut File::open(log)?, &mut io::stderr())?;
            }
            self.done.push((status.success(), running.start.elapsed()));
            self.running = None;
        }
        Ok(())
    }

    fn start(&self, line: Step) -> Result<Running> {
        step(format_args!("cargo xtask {}", line.join(" ")));
        let own = env::current_exe()?;
        let mut command = Command::new(if POLITE.contains(&line[0]) { OsStr::new("nice") } else { own.as_os_str() });
        if POLITE.contains(&line[0]) {
            command.arg("-n19").arg(&own);
        }
        command.args(line);
        let log = self.logs.as_ref().map(|logs| logs.join(format!("{}.log", line[0])));
        if let Some(log) = &log {
            log.parent().map_or(Ok(()), fs::create_dir_all)?;
            let file = File::create(log)?;
            command.stdout(file.try_clone()?).stderr(file);
        }
        Ok(Running { process: command.spawn()?, start: Instant::now(), log })
    }

    fn summarise(&self) {
        for (at, line) in self.steps.iter().enumerate() {
            let name = line[0];
            match self.done.get(at) {
                Some((passed, took)) => {
                    let how = if *passed { "ok" } else { "FAILED" };
                    answer(format_args!("{name:<9}{how:<8}{:>7.1} s", took.as_secs_f64()));
                }
                None => answer(format_args!("{name:<9}not run")),
            }
        }
    }
}
