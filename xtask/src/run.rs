//! Running other programs, and saying so.

use std::env;
use std::ffi::OsStr;
use std::fmt::{Arguments, Display};
use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Failure, Result};
use crate::signals::{Interrupt, Interrupts};

/// How long an interrupted program may take to end before it is asked again, and then killed.
const GRACE: Duration = Duration::from_secs(15);

/// Prints a line about a step, on stderr: stdout is for the answer of a command.
pub(crate) fn step(text: impl Display) {
    say(&mut std::io::stderr(), format_args!("==> {text}"));
}

/// Prints a line of a command's answer.
pub(crate) fn answer(text: impl Display) {
    say(&mut std::io::stdout(), format_args!("{text}"));
}

/// Writes a line. If nobody reads any more (a closed terminal), the work goes on: children have to be stopped.
pub(crate) fn say(stream: &mut impl Write, line: Arguments<'_>) {
    let _ = writeln!(stream, "{line}");
    let _ = stream.flush();
}

/// Cargo as the shell would run it: what `cargo run` sets for this program must not make build scripts, which
/// look at some of it, run again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os().filter(|(name, _)| is_ours_alone(name)) {
        command.env_remove(name);
    }
    command
}

fn is_ours_alone(name: &OsStr) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// Returns whether `cargo <subcommand>` is installed.
pub(crate) fn has_cargo(subcommand: &str) -> bool {
    let mut probe = cargo();
    probe.args([subcommand, "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Runs a program to its end; anything but success is a failure, and so is an interruption.
pub(crate) fn run(command: &mut Command, interrupts: &Interrupts) -> Result {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| Failure::new(format!("cannot run {program}: {error}")))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { Err(Failure::Status(status)) };
        }
        if let Some(interrupt) = interrupts.wait(Duration::from_millis(50)) {
            end(&mut child, interrupt)?;
            return Err(Failure::Interrupted);
        }
    }
}

/// Ends a child after an interrupt. The terminal sends Ctrl-C to our children too; anything else is passed on to them.
pub(crate) fn end(child: &mut Child, interrupt: Interrupt) -> Result {
    if interrupt == Interrupt::Terminal && wait(child, GRACE)?.is_some() {
        return Ok(());
    }
    signal(child, Signal::TERM);
    if wait(child, GRACE)?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// Sends a signal to a child that was not waited for yet: its number is still its own.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() > deadline {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
