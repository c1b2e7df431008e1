//! Starts a server and waits until players can join.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::{OperationId, ServerId};
use agis_machine::{
    dir::{Gate, ServerDir, blocking},
    disk,
};
use agis_servers::host::{Generation, HostError, Launch, OpenPort, Reached, Slot};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::{
    SHIM,
    holder::Holder,
    launch::{self, Site},
    leftovers,
    setup::HostSetup,
    shim,
    spec::Spec,
    status::{Phase, Status},
    stop,
};

/// Time that a shim may need beside the times that the catalogue gives the game to become ready and to end.
const SLACK: Duration = Duration::from_secs(15);
/// Times between two looks at a server that is not ready. Looks become rarer, since thousands may wait.
const POLL: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_secs(1);
const POLL_SHARE: u32 = 20;

/// Starts the server at this generation, unless it has been started, and waits until players can join.
pub(crate) async fn running(
    setup: &Arc<HostSetup>,
    server: ServerId,
    order: (Generation, OperationId),
    launch: &Launch,
    slot: &Slot,
) -> Result<Reached, HostError> {
    let (dir, generation) = (setup.machine.dir(server), order.0);
    // Does nothing if this generation has begun already, here or from another program.
    stop::bring_down(&dir, order, generation, slot).await?;
    // The wait for the end of the old run took no slot. The start takes one.
    slot.take_again().await;
    let (site, wanted) = (Arc::clone(setup), launch.clone());
    let shim = match blocking(move || prepare(&site, server, order, &wanted)).await? {
        Some(spec) => Some(spawn(setup, server, &spec).await?),
        None => None,
    };
    let patience = launch.game.ready.within() + launch.game.stop.grace() + SLACK;
    slot.leave();
    Ok(match until_ready(&dir, generation, shim, patience).await? {
        Ready::At(port, ports) => Reached::Running(setup.machine.endpoint(port, ports)),
        Ready::Before(how) => Reached::Ended(how),
    })
}

/// Decides behind the gate what to run, and prepares the world; `None` if this generation has begun already. A stop does not
/// wait for the world.
fn prepare(
    setup: &HostSetup,
    server: ServerId,
    order: (Generation, OperationId),
    launch: &Launch,
) -> Result<Option<Spec>, HostError> {
    let (machine, dir) = (&setup.machine, setup.machine.dir(server));
    let world = dir.hold_world()?;
    let gate = dir.gate()?;
    if !may_begin(&gate, order.0)? {
        return Ok(None);
    }
    leftovers::sweep(&gate, setup, server)?;
    disk::check_reserve(&machine.root, machine.disk_reserve)?;
    let mut spec = specify(setup, server, order, launch)?;
    drop(gate);
    disk::check_world(&dir.world(), spec.limits.disk)?;
    if let Some(other) = machine.shares_account(server) {
        let why = format!("this server would share its account with server {other}: widen GAME_UIDS");
        return Err(HostError::Failed(why));
    }
    dir.make_world(spec.account).map_err(|error| dir.unavailable(&error))?;
    let gate = dir.gate()?;
    if !may_begin(&gate, order.0)? {
        return Ok(None);
    }
    if let Ok(cgroups) = &setup.cgroups {
        let made = cgroups.make(server, &spec.limits);
        spec.cgroup = Some(made.map_err(|error| HostError::Unavailable(format!("the server's cgroup: {error}")))?);
    }
    drop((gate, world));
    Ok(Some(spec))
}

/// Returns whether no program has begun this generation.
///
/// # Errors
/// Fails if a newer order has come, or an earlier run has not ended.
fn may_begin(gate: &Gate<'_>, generation: Generation) -> Result<bool, HostError> {
    gate.up_to_date(generation)?;
    if Status::behind(gate)?.is_some_and(|status| status.generation >= generation) {
        return Ok(false);
    }
    if Status::is_held(gate)? {
        return Err(HostError::Unavailable("what ran before is still ending".to_owned()));
    }
    Ok(true)
}

/// Claims the ports and describes the run. The gate is held.
fn specify(
    setup: &HostSetup,
    server: ServerId,
    (generation, operation): (Generation, OperationId),
    launch: &Launch,
) -> Result<Spec, HostError> {
    let dir = setup.machine.dir(server);
    let wrong = |error| dir.unavailable(&error);
    let had = dir.ports().map_err(wrong)?;
    let process = launch
        .game
        .process()
        .ok_or_else(|| HostError::Failed(format!("the game '{}' does not run as a process", launch.game.key)))?;
    let ports = setup.machine.ports.claim(server, had.first().copied(), &launch.game.ports)?;
    let claimed: Vec<_> = ports.iter().map(|port| port.port).collect();
    let site = Site {
        dir: &dir,
        generation,
        operation,
        ports,
        bind: &setup.machine.ports.bind,
        account: setup.machine.account(server),
        holder: setup.holder,
    };
    let mut spec = launch::spec(launch, process, &site)?;
    spec.view = spec.command.first().and_then(|program| setup.view(server, Path::new(program), spec.limits.memory));
    dir.keep_ports(&claimed).map_err(wrong)?;
    // The catalogue may name fewer ports than before.
    for port in had.iter().filter(|port| !claimed.contains(port)) {
        setup.machine.ports.release(server, *port).map_err(wrong)?;
    }
    Ok(spec)
}

/// Spawns the shim as the first process of the run.
async fn spawn(setup: &HostSetup, server: ServerId, spec: &Spec) -> Result<Child, HostError> {
    let wrong = |error: io::Error| HostError::Unavailable(format!("a supervisor cannot be started: {error}"));
    let log = File::create(spec.dir.join("shim.log")).map_err(wrong)?;
    // The environment is empty, since this program's own one holds secrets such as the database's password.
    let mut command = setup.holder.command(&setup.shim);
    command.arg(SHIM).env_clear().current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    if setup.holder != Holder::UserNamespace {
        command.arg0(format!("agis-shim {server}"));
    }
    let (holder, runtime) = (setup.holder, Handle::current());
    let spawned = blocking(move || Ok(holder.spawn(command, &runtime))).await?;
    let mut shim = spawned.map_err(wrong)?;
    if let Some(mut orders) = shim.stdin.take() {
        let text = serde_json::to_vec(spec).map_err(|error| wrong(error.into()))?;
        // A shim that has ended already gives the reason in its log.
        let _ = orders.write_all(&text).await;
    }
    Ok(shim)
}

enum Ready {
    /// Players can join at this port. The list has every port.
    At(u16, Vec<OpenPort>),
    /// Players could join, until the game ended well in this way.
    Before(String),
}

/// Follows the shim's status. Dropping the future leaves the shim alone, and the runtime still collects its end.
async fn until_ready(
    dir: &ServerDir,
    generation: Generation,
    mut shim: Option<Child>,
    patience: Duration,
) -> Result<Ready, HostError> {
    let began = Instant::now();
    let mut changes = shim.as_mut().and_then(|shim| shim.stdout.take());
    loop {
        // The check comes before the read of the status, which is then the shim's last one.
        let gone = shim.as_mut().and_then(|shim| shim.try_wait().ok().flatten());
        match (look(dir, generation).await?, gone) {
            (Some(Status { phase: Phase::Ready, port, ports, .. }), _) => return Ok(Ready::At(port, ports)),
            (Some(Status { phase: Phase::Ended { how, good: true, .. }, .. }), _) => return Ok(Ready::Before(how)),
            (Some(Status { phase: Phase::Ended { how, crashed: true, .. }, .. }), _) => {
                return Err(HostError::Crashed(how));
            }
            (Some(Status { phase: Phase::Ended { how, .. }, .. }), _) => return Err(HostError::Failed(how)),
            (None, Some(exit)) => return Err(refusal(dir, exit)),
            (Some(Status { phase: Phase::Starting, .. }), _) | (None, None) => {}
        }
        if began.elapsed() > patience {
            return Err(HostError::Unavailable("the supervisor of this server does not report its status".to_owned()));
        }
        let poll = (began.elapsed() / POLL_SHARE).clamp(POLL, POLL_MAX);
        let Some(pipe) = &mut changes else {
            sleep(poll).await;
            continue;
        };
        // The shim tells of each change of its status. Its end is one too.
        if let Ok(Ok(0) | Err(_)) = timeout(poll, pipe.read(&mut [0; 8])).await {
            changes = None;
        }
    }
}

/// Returns the status of this generation's run; `None` if it has not begun.
async fn look(dir: &ServerDir, generation: Generation) -> Result<Option<Status>, HostError> {
    let dir = dir.clone();
    blocking(move || {
        if let Some(seen) = dir.seen()?.filter(|seen| *seen > generation) {
            return Err(HostError::Stale { seen });
        }
        let standing = Status::standing(&dir.status()).map_err(|error| dir.unavailable(&error))?;
        Ok(standing.map(|(status, _)| status).filter(|status| status.generation == generation))
    })
    .await
}

/// Returns the reason why a shim ended before it began a run.
fn refusal(dir: &ServerDir, exit: ExitStatus) -> HostError {
    if exit.code() == Some(shim::REFUSED) {
        return HostError::Unavailable("what ran before is still ending".to_owned());
    }
    let log = fs::read(dir.file("shim.log")).unwrap_or_default();
    let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(500)..]).trim().to_owned();
    HostError::Failed(format!("the supervisor ended ({exit}): {tail}"))
}
