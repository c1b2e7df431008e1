use std::path::Path;

use agis_base::ServerId;
use agis_machine::{Machine, SERVERS};
use agis_servers::game::{RunsOn, Size};

use crate::{
    cgroup::Cgroups,
    config::{Config, SetupError},
    holder::{Holder, ShimProgram},
    view::View,
};

/// Mount of the cgroups; file-hierarchy(7).
const CGROUPS: &str = "/sys/fs/cgroup";

/// Values that are fixed when a host is set up.
#[derive(Debug)]
pub(crate) struct HostSetup {
    pub(crate) machine: Machine,
    /// Program of the supervisors.
    pub(crate) shim: ShimProgram,
    /// Kernel object that holds each run.
    pub(crate) holder: Holder,
    /// Reason why no kernel object holds a run; `None` if one does.
    pub(crate) loose: Option<String>,
    /// Cgroups of runs, or the reason why limits are measured instead.
    pub(crate) cgroups: Result<Cgroups, String>,
}

impl HostSetup {
    /// Checks the configuration and creates the directories.
    pub(crate) fn new(config: Config) -> Result<Self, SetupError> {
        let Config { machine, shim } = config;
        let shim = ShimProgram::open(&shim).map_err(|source| SetupError::Shim { path: shim, source })?;
        let machine = Machine::new(machine, RunsOn::Process)?;
        let (holder, loose) = match Holder::probe(&shim, machine.some_account()) {
            Ok(holder) => (holder, None),
            Err(reason) => {
                tracing::warn!(reason, "game servers are not contained");
                (Holder::ProcessGroup, Some(reason))
            }
        };
        let cgroups = match holder {
            Holder::ProcessGroup if machine.some_account().is_none() => {
                Err("a game of the same account would leave it".to_owned())
            }
            _ => Cgroups::find(),
        };
        Ok(Self { machine, shim, holder, loose, cgroups })
    }

    /// Returns the mounts of a server's game; `None` for those of the machine.
    pub(crate) fn view(&self, server: ServerId, program: &Path, memory: Option<Size>) -> Option<View> {
        let mut hidden = Vec::from([SERVERS, "ports", "trash"].map(|name| self.machine.root.join(name)));
        if self.holder == Holder::UserNamespace && self.cgroups.is_ok() {
            // A game of the same account would leave its cgroup.
            hidden.push(CGROUPS.into());
        }
        let program = program.canonicalize().ok().and_then(|it| Some(it.parent()?.to_owned()));
        let kept = [Some(self.machine.dir(server).world()), program].into_iter().flatten().collect();
        (self.holder != Holder::ProcessGroup).then_some(View { hidden, kept, memory: memory.map(Size::bytes) })
    }
}
