use std::{
    fs, io,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use agis_base::ServerId;
use agis_servers::{
    game::Size,
    host::{Endpoint, OpenPort},
};
use uuid::Uuid;

use crate::{
    account::{Account, Accounts},
    cgroup::Cgroups,
    config::{Config, SetupError},
    dir::{ServerDir, make_dir},
    holder::{Holder, ShimProgram},
    ports::Ports,
    trash::Trash,
    view::View,
};

pub(crate) const SERVERS: &str = "servers";
const HOST_FILE: &str = "host";
/// Mount of the cgroups; file-hierarchy(7).
const CGROUPS: &str = "/sys/fs/cgroup";

/// Values that are fixed when a host is set up.
#[derive(Debug)]
pub(crate) struct HostSetup {
    pub(crate) name: String,
    pub(crate) public_address: String,
    /// Program of the supervisors.
    pub(crate) shim: ShimProgram,
    /// Kernel object that holds each run.
    pub(crate) holder: Holder,
    /// Reason why no kernel object holds a run; `None` if one does.
    pub(crate) loose: Option<String>,
    /// Cgroups of runs, or the reason why limits are measured instead.
    pub(crate) cgroups: Result<Cgroups, String>,
    accounts: Option<Accounts>,
    pub(crate) ports: Ports,
    pub(crate) trash: Trash,
    /// Free bytes of the disk below which nothing starts.
    pub(crate) disk_reserve: u64,
    /// Id of the data directory.
    pub(crate) id: Uuid,
    /// Canonical path of the data directory.
    pub(crate) root: PathBuf,
}

impl HostSetup {
    /// Checks the configuration and creates the directories.
    pub(crate) fn new(config: Config) -> Result<Self, SetupError> {
        let Config { data_dir, name, public_address, bind_address: bind, game_uids, disk_reserve, trash_max, shim } =
            config;
        let shim = ShimProgram::open(&shim).map_err(|source| SetupError::Shim { path: shim, source })?;
        let address = |source| SetupError::Address { address: bind.clone(), source };
        TcpListener::bind((bind.as_str(), 0)).map_err(address)?;
        UdpSocket::bind((bind.as_str(), 0)).map_err(address)?;

        let wrong = |source| SetupError::Directory { path: data_dir.clone(), source };
        fs::create_dir_all(&data_dir).map_err(wrong)?;
        let root = data_dir.canonicalize().map_err(wrong)?;
        let [servers, ports, trash] = [SERVERS, "ports", "trash"].map(|name| root.join(name));
        // Games pass through `servers` to their worlds. Nobody else may look at deleted worlds.
        for (path, mode) in [(&servers, 0o711), (&ports, 0o700), (&trash, 0o700)] {
            make_dir(path, mode).map_err(wrong)?;
        }
        let owner = settled(&root, HOST_FILE, &name).map_err(wrong)?;
        if owner != name {
            return Err(SetupError::Owner { path: data_dir, owner, name });
        }
        let id = settled(&root, "id", &Uuid::now_v7().to_string()).map_err(wrong)?;
        let id = id.parse().map_err(|_| wrong(io::Error::other("its file 'id' holds no id")))?;
        let (first, last) = (*game_uids.start(), *game_uids.end());
        let accounts = Accounts::for_games(game_uids);
        if let Some(accounts) = &accounts {
            accounts.check(&root.join("uid")).map_err(|source| SetupError::Accounts { first, last, source })?;
        }
        let (holder, loose) = match Holder::probe(&shim, accounts.as_ref().map(Accounts::first)) {
            Ok(holder) => (holder, None),
            Err(reason) => {
                tracing::warn!(reason, "game servers are not contained");
                (Holder::ProcessGroup, Some(reason))
            }
        };
        let cgroups = match holder {
            Holder::ProcessGroup if accounts.is_none() => Err("a game of the same account would leave it".to_owned()),
            _ => Cgroups::find(),
        };
        let ports = Ports { dir: ports, bind };
        let trash = Trash::new(trash, trash_max);
        Ok(Self { name, public_address, shim, holder, loose, cgroups, accounts, ports, trash, disk_reserve, id, root })
    }

    /// Returns the account of a server's game; `None` for this program's own account.
    pub(crate) fn account(&self, server: ServerId) -> Option<Account> {
        self.accounts.as_ref().map(|accounts| accounts.of(server))
    }

    /// Returns the account of some game.
    pub(crate) fn some_account(&self) -> Option<Account> {
        self.accounts.as_ref().map(Accounts::first)
    }

    /// Returns another server that has a world and the same account, since the range of accounts is too small.
    pub(crate) fn shares_account(&self, server: ServerId) -> Option<ServerId> {
        let accounts = self.accounts.as_ref().filter(|accounts| accounts.may_share(server))?;
        let servers = fs::read_dir(self.root.join(SERVERS)).into_iter().flatten().flatten();
        let others = servers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        others.into_iter().find(|other| accounts.are_shared(server, *other) && self.dir(*other).world().exists())
    }

    /// Returns the mounts of a server's game; `None` for those of the machine.
    pub(crate) fn view(&self, server: ServerId, program: &Path, memory: Option<Size>) -> Option<View> {
        let mut hidden = Vec::from([SERVERS, "ports", "trash"].map(|name| self.root.join(name)));
        if self.holder == Holder::UserNamespace && self.cgroups.is_ok() {
            // A game of the same account would leave its cgroup.
            hidden.push(CGROUPS.into());
        }
        let program = program.canonicalize().ok().and_then(|it| Some(it.parent()?.to_owned()));
        let kept = [Some(self.dir(server).world()), program].into_iter().flatten().collect();
        (self.holder != Holder::ProcessGroup).then_some(View { hidden, kept, memory: memory.map(Size::bytes) })
    }

    pub(crate) fn dir(&self, server: ServerId) -> ServerDir {
        server_dir(&self.root, server)
    }

    pub(crate) fn endpoint(&self, port: u16, ports: Vec<OpenPort>) -> Endpoint {
        Endpoint { address: self.public_address.clone(), port, ports }
    }
}

/// Returns the directory of a server within a data directory.
pub(crate) fn server_dir(root: &Path, server: ServerId) -> ServerDir {
    ServerDir::new(root.join(SERVERS).join(server.to_string()))
}

/// Returns the path of the file that names the data directory's host.
pub(crate) fn host_file(root: &Path) -> PathBuf {
    root.join(HOST_FILE)
}

/// Returns the text of a file that the first program on a data directory settles for all times.
///
/// - `host` names the host. Otherwise a renamed machine would find none of its servers, and two hosts in one directory
///   would each claim the other's servers.
/// - `id` tells the directory from every other one. Otherwise a process on another directory would take the name of a
///   host, and find none of its servers.
fn settled(root: &Path, name: &str, text: &str) -> io::Result<String> {
    let file = root.join(name);
    // Reads first: a program starts on a full disk too.
    match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    // A link appears together with its content, so a second program reads the whole text.
    let draft = root.join(format!("{name}.{}", std::process::id()));
    fs::write(&draft, text)?;
    let linked = fs::hard_link(&draft, &file);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::read_to_string(file),
    }
}
