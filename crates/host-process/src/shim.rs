//! Supervisor of one run of one server: a process in a session of its own, which outlives the program that started it. The
//! supervisor is the first process of the run's PID namespace, so the run ends with it.

use std::{
    fs,
    io::{self, Read, Write},
    os::fd::RawFd,
    process::ExitCode,
};

use agis_machine::dir::ServerDir;
use agis_servers::host::HostError;
use rustix::process::{DumpableBehavior, getpid, set_child_subreaper, set_dumpable_behavior, setsid};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    commands::Commands,
    holder::Holder,
    identity::Process,
    spec::Spec,
    status::{Phase, Status},
    supervise,
};

/// Exit status of a shim that gave way: to a newer order, to a run of the same order, or to a holder of the lock.
pub(crate) const REFUSED: i32 = 3;

/// Maximum size of the orders, in bytes. No catalogue's files reach it.
const SPEC_BYTES: u64 = 16 * 1024 * 1024;

/// Reads its orders from standard input, runs the game, and returns when the run has ended. Errors go to standard
/// error.
///
/// Call this before any async runtime starts. It starts one.
pub fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(REFUSED as u8),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the game, and returns whether the run took place.
fn run() -> io::Result<bool> {
    close_inherited()?;
    setsid()?;
    // The program that a user namespace runs has another command line, and all programs of /proc/self/exe are called "exe".
    rustix::thread::set_name(c"agis-shim")?;
    // No game of the same account traces this process.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Processes of the game whose parents end become children of this one. The first process of a namespace has them anyway.
    set_child_subreaper(Some(getpid()))?;
    let mut text = Vec::new();
    io::stdin().take(SPEC_BYTES).read_to_end(&mut text)?;
    let spec: Spec = serde_json::from_slice(&text)?;
    // The runtime has one thread: the game dies with the thread that spawned it (prctl(2), PR_SET_PDEATHSIG).
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The signals are caught before any program can know this process and send it one.
        let signals = Signals::install()?;
        let Some((status, commands)) = begin(&spec).map_err(io::Error::other)? else { return Ok(false) };
        supervise::supervise(spec, status, commands, signals).await.map(|()| true)
    })
}

/// Closes the descriptors that the program above left open, so no game gets one.
fn close_inherited() -> io::Result<()> {
    let all = fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for descriptor in all.filter(|number| *number > 2).collect::<Vec<RawFd>>() {
        // The descriptor of the listing is among them, and closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// Signals that do not end a shim at once.
pub(crate) struct Signals {
    /// Signal to end the game.
    pub(crate) terminate: Signal,
    /// Signal that a process of the game has ended.
    pub(crate) child: Signal,
    /// Signal that the world has grown beyond its limit.
    pub(crate) world_full: Signal,
    /// Signal that the world is near its limit.
    pub(crate) world_near: Signal,
    /// Signals without effect, since the shim has no terminal.
    pub(crate) ignored: [Signal; 3],
}

impl Signals {
    fn install() -> io::Result<Self> {
        let ignored = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
        let [hangup, interrupt, quit] = ignored.map(signal);
        let [terminate, child] = [SignalKind::terminate(), SignalKind::child()].map(signal);
        let [world_full, world_near] = [SignalKind::user_defined1(), SignalKind::user_defined2()].map(signal);
        let (world_full, world_near) = (world_full?, world_near?);
        Ok(Self { terminate: terminate?, child: child?, world_full, world_near, ignored: [hangup?, interrupt?, quit?] })
    }
}

/// Becomes the server's run by the status, or gives way. The gate is held, so exactly one shim begins a generation, none
/// begins an overtaken one, and none begins beside another run.
fn begin(spec: &Spec) -> Result<Option<(Status, Commands)>, HostError> {
    let dir = ServerDir::new(spec.dir.clone());
    let wrong = |error: io::Error| dir.unavailable(&error);
    // Another program with this order may be preparing the world.
    let Ok(_world) = dir.hold_world() else { return Ok(None) };
    let gate = dir.gate()?;
    if dir.seen()? != Some(spec.generation)
        || Status::behind(&gate)?.is_some_and(|last| last.generation >= spec.generation)
    {
        return Ok(None);
    }
    if Status::is_held(&gate)? {
        return Ok(None);
    }
    // The FIFO comes before the status, since every reader of the status may send a command.
    let commands = Commands::receive(&dir.commands()).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "no commands can be taken: {error}");
        Commands::none()
    });
    gate.note_asked(None)?;
    let status = Status {
        generation: spec.generation,
        phase: Phase::Starting,
        port: spec.port,
        ports: spec.ports.clone(),
        grace_s: spec.stop.grace_s,
        shim: Process::this().map_err(wrong)?,
        disk: spec.limits.disk,
        is_loose: spec.holder == Holder::ProcessGroup && spec.account.is_none(),
    };
    status.write(&dir.status()).map_err(wrong)?;
    Ok(Some((status, commands)))
}
