//! Turns an entry of the catalogue into a container.

use std::collections::HashMap;

use agis_base::{OperationId, ServerId};
use agis_machine::values::Values;
use agis_servers::{
    game::{Container, Game, GamePort, Protocol},
    host::{Generation, HostError, Launch, OpenPort},
};
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use rustix::process::{Resource, getrlimit};

use crate::{engine::Brand, host::Setup, names, user::RunAs};

/// Address on which a game listens in its container.
const BIND: &str = "0.0.0.0";
/// Bounds of a console's log: the size of a file, and the number of files.
const LOG: [(&str, &str); 2] = [("max-size", "6m"), ("max-file", "3")];
/// Bounds of each folder for temporary files. Their content counts as memory of the container.
const TEMPORARY: &str = "rw,nosuid,nodev,mode=1777,size=1g";
/// Maximum number of open files, far above what a game needs.
const FILES_MAX: u64 = 65_536;
/// Maximum number of processes and threads of a game's account without a limit of the catalogue.
const PROCESSES_MAX: u64 = 32_768;

/// Address of ports that only programs of this machine reach, among them AGIS.
pub(crate) const PRIVATE: &str = "127.0.0.1";

/// Place and time of a run.
pub(crate) struct Site<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) server: ServerId,
    pub(crate) generation: Generation,
    pub(crate) operation: OperationId,
    pub(crate) run_as: RunAs,
    /// Ports that players use, at least one.
    pub(crate) ports: &'a [OpenPort],
    /// Ports on which the game listens in the container, in the same order.
    pub(crate) inner: &'a [OpenPort],
    /// Image, by its digest.
    pub(crate) image: String,
    /// Id of the network.
    pub(crate) network: String,
    /// Make of the engine.
    pub(crate) brand: Brand,
}

/// Returns the ports on which a game listens in its container: those that players use, or those of the catalogue.
pub(crate) fn inner_ports(game: &Game, container: &Container, ports: &[OpenPort]) -> Vec<OpenPort> {
    let own = |GamePort { name, number, protocol }: &GamePort| OpenPort {
        name: name.clone(),
        port: *number,
        protocol: Some(*protocol),
    };
    if container.has_public_ports { ports.to_vec() } else { game.ports.iter().map(own).collect() }
}

/// Returns the values of the placeholders.
pub(crate) fn values<'a>(launch: &'a Launch, inner: &'a [OpenPort]) -> Values<'a> {
    Values::new(launch, inner, BIND, "agis-shim")
}

/// Describes the container.
///
/// # Errors
/// Fails if the world cannot be mounted.
pub(crate) fn body(launch: &Launch, container: &Container, site: &Site<'_>) -> Result<ContainerCreateBody, HostError> {
    let game = &launch.game;
    let values = values(launch, site.inner);
    let filled = |texts: &[String]| (!texts.is_empty()).then(|| texts.iter().map(|text| values.fill(text)).collect());
    let env = game.env.iter().map(|(key, value)| format!("{key}={}", values.fill(value)));
    Ok(ContainerCreateBody {
        image: Some(site.image.clone()),
        entrypoint: filled(&container.entrypoint),
        cmd: filled(&container.command),
        env: Some(env.collect()),
        user: Some(site.run_as.inside.clone()),
        labels: Some(names::labels(site.setup.machine.id, site.server, site.generation, site.operation)),
        tty: Some(game.pty),
        open_stdin: Some(true),
        // Otherwise the first command would be the last one.
        stdin_once: Some(false),
        exposed_ports: Some(site.inner.iter().map(exposed).collect()),
        host_config: Some(host_config(game, container, site)?),
        ..ContainerCreateBody::default()
    })
}

fn host_config(game: &Game, container: &Container, site: &Site<'_>) -> Result<HostConfig, HostError> {
    let limits = &game.limits;
    let memory = limits.memory.map(|memory| signed(memory.bytes()));
    Ok(HostConfig {
        mounts: Some(mounts(container, site)?),
        network_mode: Some(site.network.clone()),
        port_bindings: Some(bindings(game, site)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(container.capabilities.clone()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        readonly_rootfs: Some(container.is_read_only),
        tmpfs: Some(container.temporary.iter().map(|path| (path.clone(), TEMPORARY.to_owned())).collect()),
        userns_mode: site.run_as.namespace.clone(),
        memory,
        // The same number means no swap.
        memory_swap: memory,
        nano_cpus: limits.cpu.map(|cpu| i64::from(cpu.thousandths()) * 1_000_000),
        pids_limit: limits.pids.map(|pids| pids.get().into()),
        ulimits: Some(ulimits()),
        // The first process of a container collects the others, which games seldom do.
        init: Some(true),
        // AGIS alone decides about starts.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        log_config: Some(HostConfigLogConfig {
            typ: Some(log_driver(site.brand).to_owned()),
            config: Some(LOG.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        }),
        ..HostConfig::default()
    })
}

/// Returns the name of a log that keeps every byte. Docker's `json-file` replaces those that are no UTF-8, and Podman calls its
/// own log so.
fn log_driver(brand: Brand) -> &'static str {
    match brand {
        Brand::Docker => "local",
        Brand::Podman => "json-file",
    }
}

/// Mounts folders of the server's world, and nothing else of this machine. A link in place of a folder would mount
/// something else.
fn mounts(container: &Container, site: &Site<'_>) -> Result<Vec<Mount>, HostError> {
    let world = site.setup.machine.dir(site.server).world();
    let mount = |mount: &agis_servers::game::Mount| {
        let source = if mount.folder.is_empty() { world.clone() } else { world.join(&mount.folder) };
        let is_own = source.symlink_metadata().is_ok_and(|it| it.is_dir()) && source.starts_with(&world);
        if !is_own {
            let why = format!("the folder '{}' of its world is no directory; an operator must repair it", mount.folder);
            return Err(HostError::Failed(why));
        }
        Ok(Mount {
            typ: Some(MountType::BIND),
            source: Some(source.to_string_lossy().into_owned()),
            target: Some(mount.path.clone()),
            read_only: Some(false),
            ..Mount::default()
        })
    };
    container.mounts.iter().map(mount).collect()
}

fn bindings(game: &Game, site: &Site<'_>) -> HashMap<String, Option<Vec<PortBinding>>> {
    let binding = |(outer, inner): (&OpenPort, &OpenPort)| {
        let public = site.setup.machine.ports.bind.as_str();
        let host_ip = Some(if game.keeps_private(&outer.name) { PRIVATE } else { public }.to_owned());
        (exposed(inner), Some(vec![PortBinding { host_ip, host_port: Some(outer.port.to_string()) }]))
    };
    site.ports.iter().zip(site.inner).map(binding).collect()
}

fn exposed(port: &OpenPort) -> String {
    format!("{}/{}", port.port, port.protocol.unwrap_or(Protocol::Tcp).as_str())
}

/// Returns limits that the engine can set: an engine in a container may not exceed those of this program.
fn ulimits() -> Vec<ResourcesUlimits> {
    let limit = |name: &str, resource: Resource, max: u64| {
        let most = getrlimit(resource).maximum.map_or(max, |own| own.min(max));
        ResourcesUlimits { name: Some(name.to_owned()), soft: Some(signed(most)), hard: Some(signed(most)) }
    };
    // The kernel counts processes by account, and several containers may share one: the engine's own limit counts each.
    vec![limit("nofile", Resource::Nofile, FILES_MAX), limit("nproc", Resource::Nproc, PROCESSES_MAX)]
}

fn signed(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
