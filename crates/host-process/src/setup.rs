use std::{
    fs, io,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use agis_base::ServerId;
use agis_servers::host::Endpoint;
use uuid::Uuid;

use crate::{
    account::Account,
    config::{Config, SetupError},
    dir::{ServerDir, make_dir},
    ports::Ports,
    trash::Trash,
};

const SERVERS: &str = "servers";
const HOST_FILE: &str = "host";

/// Values that are fixed when a host is set up.
#[derive(Debug)]
pub(crate) struct HostSetup {
    pub(crate) name: String,
    pub(crate) public_address: String,
    pub(crate) exe: PathBuf,
    pub(crate) account: Option<Account>,
    pub(crate) ports: Ports,
    pub(crate) trash: Trash,
    /// Id of the data directory.
    pub(crate) id: Uuid,
    /// Canonical path of the data directory.
    pub(crate) root: PathBuf,
}

impl HostSetup {
    /// Checks the configuration and creates the directories.
    pub(crate) fn new(config: Config) -> Result<Self, SetupError> {
        let Config { data_dir, name, public_address, bind_address: bind, game_user, exe } = config;
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
        let account = Account::for_games(&game_user)?;
        let ports = Ports { dir: ports, bind };
        Ok(Self { name, public_address, exe, account, ports, trash: Trash::new(trash), id, root })
    }

    pub(crate) fn dir(&self, server: ServerId) -> ServerDir {
        server_dir(&self.root, server)
    }

    pub(crate) fn endpoint(&self, port: u16) -> Endpoint {
        Endpoint { address: self.public_address.clone(), port }
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
