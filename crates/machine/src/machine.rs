use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use agis_base::ServerId;
use agis_servers::{
    game::RunsOn,
    host::{Endpoint, Generation, HostError, OpenPort},
};
use uuid::Uuid;

use crate::{
    account::{Account, Accounts},
    config::{Config, SetupError},
    dir::{Gate, ServerDir, WorldHold, make_dir},
    disk,
    ports::Ports,
    room,
    trash::{TRASH, Trash},
};

/// Name of the directory that holds the servers' directories.
pub const SERVERS: &str = "servers";
const HOST_FILE: &str = "host";
/// Name of a machine's host of containers has this behind the name of the machine.
const CONTAINER: &str = "-container";
/// Files that outlive the server.
const KEPT: [&str; 5] = ["generation", "generation.lock", "generation.spare", "killed", "killed.spare"];

/// Data directory of a machine, and values that are fixed when a host is set up.
#[derive(Debug)]
pub struct Machine {
    /// Name of the host, as in `game_servers.host`.
    pub name: String,
    public_address: String,
    accounts: Option<Accounts>,
    /// Claims of ports.
    pub ports: Ports,
    /// Worlds of deleted servers.
    pub trash: Trash,
    /// Free bytes of the disk below which nothing starts.
    pub disk_reserve: u64,
    /// Id of the data directory.
    pub id: Uuid,
    /// Canonical path of the data directory.
    pub root: PathBuf,
}

impl Machine {
    /// Checks the configuration and creates the directories, for a host of this kind. Several kinds may share a directory.
    ///
    /// # Errors
    /// Fails if the data directory, the address or the accounts cannot be used.
    pub fn new(config: Config, kind: RunsOn) -> Result<Self, SetupError> {
        let Config { data_dir, name, public_address, bind_address: bind, game_uids, disk_reserve, trash_max } = config;
        let address = |source| SetupError::Address { address: bind.clone(), source };
        TcpListener::bind((bind.as_str(), 0)).map_err(address)?;
        UdpSocket::bind((bind.as_str(), 0)).map_err(address)?;

        let wrong = |source| SetupError::Directory { path: data_dir.clone(), source };
        fs::create_dir_all(&data_dir).map_err(wrong)?;
        let root = data_dir.canonicalize().map_err(wrong)?;
        let [servers, ports, trash] = [SERVERS, "ports", TRASH].map(|name| root.join(name));
        // Games pass through `servers` to their worlds. Nobody else may look at deleted worlds.
        for (path, mode) in [(&servers, 0o711), (&ports, 0o700), (&trash, 0o700)] {
            make_dir(path, mode).map_err(wrong)?;
        }
        let own = if kind == RunsOn::Container { [HOST_FILE, CONTAINER].concat() } else { HOST_FILE.to_owned() };
        let owner = settled(&root, &own, &name).map_err(wrong)?;
        if owner != name {
            let named = |name: String| match kind {
                RunsOn::Container => name.strip_suffix(CONTAINER).unwrap_or(&name).to_owned(),
                RunsOn::Process | RunsOn::Agones => name,
            };
            return Err(SetupError::Owner { path: data_dir, owner: named(owner), name: named(name) });
        }
        let id = settled(&root, "id", &Uuid::now_v7().to_string()).map_err(wrong)?;
        let id = id.parse().map_err(|_| wrong(io::Error::other("its file 'id' holds no id")))?;
        let (first, last) = (*game_uids.start(), *game_uids.end());
        let accounts = Accounts::for_games(game_uids);
        if let Some(accounts) = &accounts {
            accounts.check(&root.join("uid")).map_err(|source| SetupError::Accounts { first, last, source })?;
        }
        let ports = Ports { dir: ports, bind };
        let trash = Trash::new(trash, trash_max);
        Ok(Self { name, public_address, accounts, ports, trash, disk_reserve, id, root })
    }

    /// Persists the generation of an order, and refuses one that has been overtaken. Returns whether the server has a
    /// directory: on a full disk, a server that never started gets none, and nothing of it runs.
    ///
    /// # Errors
    /// Fails as [`ServerDir::raise`] does, and if an order that begins something finds the disk below its reserve.
    pub fn raise(&self, server: ServerId, generation: Generation, begins: bool) -> Result<bool, HostError> {
        let dir = self.dir(server);
        if begins && dir.seen()?.is_none() {
            disk::check_reserve(&self.root, self.disk_reserve)?;
        }
        match dir.raise(generation) {
            Err(HostError::Unavailable(_)) if !begins && dir.seen()?.is_none() && room::is_full(&self.root) => {
                Ok(false)
            }
            raised => raised.map(|()| true),
        }
    }

    /// Returns the account of a server's game; `None` for this program's own account.
    pub fn account(&self, server: ServerId) -> Option<Account> {
        self.accounts.as_ref().map(|accounts| accounts.of(server))
    }

    /// Returns the account of some game.
    pub fn some_account(&self) -> Option<Account> {
        self.accounts.as_ref().map(Accounts::first)
    }

    /// Returns another server that has a world and the same account, since the range of accounts is too small.
    pub fn shares_account(&self, server: ServerId) -> Option<ServerId> {
        let accounts = self.accounts.as_ref().filter(|accounts| accounts.may_share(server))?;
        let servers = fs::read_dir(self.root.join(SERVERS)).into_iter().flatten().flatten();
        let others = servers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        others.into_iter().find(|other| accounts.are_shared(server, *other) && self.dir(*other).world().exists())
    }

    /// Returns the directory of a server.
    pub fn dir(&self, server: ServerId) -> ServerDir {
        server_dir(&self.root, server)
    }

    /// Returns the address of a server with these ports.
    pub fn endpoint(&self, port: u16, ports: Vec<OpenPort>) -> Endpoint {
        Endpoint { address: self.public_address.clone(), port, ports }
    }

    /// Returns the address at which this program reaches the games: the public one may be on the other side of a router.
    pub fn reached_at(&self) -> String {
        match self.ports.bind.parse() {
            Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            Ok(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
            _ => self.ports.bind.clone(),
        }
    }

    /// Releases the ports, moves the world away and deletes the other files of a server. The fence stays, since an order
    /// from before the deletion must never revive the server. The record of a kill stays too. World and gate are held, and no
    /// process of the server runs.
    ///
    /// # Errors
    /// Fails if the machine refuses.
    pub fn delete(&self, server: ServerId, gate: &Gate<'_>, _world: &WorldHold) -> Result<(), HostError> {
        let dir = gate.dir();
        self.remove(server, dir).map_err(|error| dir.unavailable(&error))
    }

    fn remove(&self, server: ServerId, dir: &ServerDir) -> io::Result<()> {
        for port in dir.ports()? {
            self.ports.release(server, port)?;
        }
        self.trash.take(server, &dir.world())?;
        for entry in fs::read_dir(dir.path())? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| KEPT.contains(&name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Returns the directory of a server within a data directory.
pub fn server_dir(root: &Path, server: ServerId) -> ServerDir {
    ServerDir::new(root.join(SERVERS).join(server.to_string()))
}

/// Returns the path of the file that names the data directory's host.
pub fn host_file(root: &Path) -> PathBuf {
    root.join(HOST_FILE)
}

/// Returns the text of a file that the first program on a data directory settles.
///
/// - `host` names the host. Otherwise a renamed machine would find none of its servers, and two hosts in one directory
///   would each claim the other's servers.
/// - `id` tells the directory from every other one. Otherwise a process on another directory would take the name of a
///   host, and find none of its servers.
/// - `engine` names the container engine, if the directory has a host of containers.
pub fn settled(root: &Path, name: &str, text: &str) -> io::Result<String> {
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
