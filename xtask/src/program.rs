//! Programs that a command starts, asks and ends.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use agis_local_services::account::Account;
use agis_local_services::leash::Leash;
use rustix::process::Signal;

use crate::failure::{Failure, Result};
use crate::http;
use crate::run::{signal, step};
use crate::signals::Interrupts;

const READY: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// A program of this run, stopped when dropped.
pub(crate) struct Program<'a> {
    name: &'static str,
    interrupts: &'a Interrupts,
    stop: Stop,
    process: Child,
    _leash: Leash,
}

/// How a program ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// How long it may take.
    pub(crate) limit: Duration,
    /// The text behind the name in the message that it has to be killed.
    pub(crate) killed: &'static str,
}

impl<'a> Program<'a> {
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        stop: Stop,
        interrupts: &'a Interrupts,
    ) -> Result<Self> {
        // In a process group of its own: Ctrl-C is for us, who then stop things in order.
        let process = command.stdin(Stdio::null()).process_group(0).spawn();
        let process = process.map_err(|error| Failure::new(format!("cannot run {name}: {error}")))?;
        // As we run, for root's programs too: only its owner may signal it.
        let leash = Leash::tie(&Account::Ours, r#"kill -TERM "$1""#, &[&process.id().to_string()])?;
        Ok(Self { name, interrupts, stop, process, _leash: leash })
    }

    /// Waits for its `/readyz`.
    pub(crate) fn wait_until_ready(&mut self, host: &str) -> Result {
        let deadline = Instant::now() + READY;
        while !matches!(http::get(host, "/readyz", None), Ok(200)) {
            self.check_alive()?;
            if Instant::now() > deadline {
                let (name, seconds) = (self.name, READY.as_secs());
                return Err(Failure::new(format!("{name} was not ready after {seconds} s; its log says why")));
            }
            if self.interrupts.wait(PAUSE).is_some() {
                return Err(Failure::Interrupted);
            }
        }
        Ok(())
    }

    pub(crate) fn check_alive(&mut self) -> Result {
        match self.exited() {
            None => Ok(()),
            Some(status) => Err(Failure::new(format!("{} ended by itself ({status}); its log says why", self.name))),
        }
    }

    /// Returns the process, whose output is piped if its command asked for that.
    pub(crate) fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Waits for the end, or for another Ctrl-C.
    fn ends(&mut self) -> bool {
        let deadline = Instant::now() + self.stop.limit;
        while self.exited().is_none() {
            if Instant::now() > deadline || self.interrupts.wait(PAUSE).is_some() {
                return false;
            }
        }
        true
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        if self.exited().is_none() {
            signal(&self.process, Signal::TERM);
            if !self.ends() {
                step(format_args!("killing {}{}", self.name, self.stop.killed));
            }
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a program to its end, and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(Failure::Status(output.status)),
    }
}

/// Returns a port that nobody has.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
