//! Directory of a server, and its generation fence. Every program decides about a server behind the same short lock. The
//! directory itself is locked while a start prepares the world, which may take long; whoever needs both locks takes that one
//! first.
//!
//! - `generation`: highest ordered generation. It outlives the server, so no late order revives it.
//! - `generation.lock`: the gate. A program holds it for a moment to read or change the following files.
//! - `status.json`: the shim's last status, on the host of processes
//! - `asked`: operation for which the run was last asked to end
//! - `killed`: operation for which a run had to be killed. It outlives the server, for the rest of its deletion.
//! - `….spare`: space for the next text of these files ([`crate::replace`])
//! - `console.in`: a FIFO that passes commands on to the shim
//! - `port`, `world/` (the game's working directory), `console.log` (`.1`, `.2`, `.start`), `shim.log`

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
    time::Duration,
};

use agis_base::OperationId;
use agis_servers::host::{Generation, HostError};

use crate::{
    account::Account,
    lock::Brief,
    replace::{replace, write_atomically},
};

/// Maximum wait for the gate, far longer than any work behind it, and for an earlier start that prepares the world.
const GATE_PATIENCE: Duration = Duration::from_secs(5);

/// Directory of a server. Its path is canonical, so it can be compared with descriptors in `/proc`.
#[derive(Debug, Clone)]
pub struct ServerDir(PathBuf);

/// Right to decide about a server, until it is dropped.
#[derive(Debug)]
pub struct Gate<'a> {
    dir: &'a ServerDir,
    _lock: Brief,
}

/// Right to change the world of a server that does not run, until it is dropped. Nothing begins a run meanwhile, and a stop
/// does not wait for it.
#[derive(Debug)]
pub struct WorldHold {
    _lock: Brief,
}

impl ServerDir {
    /// Returns the directory at a canonical path.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the path of the game's working directory.
    pub fn world(&self) -> PathBuf {
        self.file("world")
    }

    /// Returns the path of the run's last status.
    pub fn status(&self) -> PathBuf {
        self.file("status.json")
    }

    /// Returns the path of the console; written by the host's supervisor.
    pub fn console(&self) -> PathBuf {
        self.file("console.log")
    }

    /// Returns the path of the FIFO for commands.
    pub fn commands(&self) -> PathBuf {
        self.file("console.in")
    }

    /// Persists the generation of an order, and refuses one that has been overtaken.
    pub fn raise(&self, generation: Generation) -> Result<(), HostError> {
        make_dir(&self.0, 0o711).map_err(|error| self.unavailable(&error))?;
        let gate = self.gate()?;
        if gate.up_to_date(generation)? < Some(generation) {
            replace(&self.file("generation"), generation.to_string().as_bytes())
                .map_err(|error| self.unavailable(&error))?;
        }
        Ok(())
    }

    /// Waits for the gate.
    pub fn gate(&self) -> Result<Gate<'_>, HostError> {
        let lock = Brief::within(&self.file("generation.lock"), GATE_PATIENCE);
        Ok(Gate { dir: self, _lock: lock.map_err(|error| self.unavailable(&error))? })
    }

    /// Waits until no start prepares the world.
    ///
    /// # Errors
    /// Fails as unavailable if an earlier start does not end its work soon.
    pub fn hold_world(&self) -> Result<WorldHold, HostError> {
        let lock = Brief::of_directory(&self.0, GATE_PATIENCE).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => {
                HostError::Unavailable("an earlier start of this server still prepares its world".to_owned())
            }
            _ => self.unavailable(&error),
        })?;
        Ok(WorldHold { _lock: lock })
    }

    /// Returns the highest ordered generation.
    pub fn seen(&self) -> Result<Option<Generation>, HostError> {
        match fs::read_to_string(self.file("generation")) {
            Ok(text) => match text.trim().parse() {
                Ok(generation) => Ok(Some(generation)),
                // A guess would lift the fence.
                Err(_) => Err(HostError::Unavailable(format!("{}/generation holds no number", self.0.display()))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    /// Returns the ports of the server's last start, the one for players first.
    pub fn ports(&self) -> io::Result<Vec<u16>> {
        match fs::read_to_string(self.file("port")) {
            Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
            Err(error) => Err(error),
        }
    }

    /// Keeps the ports, one on a line. An earlier version reads the file of a server with a single port.
    pub fn keep_ports(&self, ports: &[u16]) -> io::Result<()> {
        let lines: Vec<_> = ports.iter().map(u16::to_string).collect();
        write_atomically(&self.file("port"), lines.join("\n").as_bytes())
    }

    /// Returns the operation for which a run of this server had to be killed last.
    pub fn killed_for(&self) -> io::Result<Option<OperationId>> {
        self.operation("killed")
    }

    /// Returns the operation for which the run was last asked to end; `None` if it was not.
    ///
    /// # Errors
    /// Fails if the record cannot be read.
    pub fn asked_for(&self) -> io::Result<Option<OperationId>> {
        self.operation("asked")
    }

    /// Records that the run had to be killed for the operation that asked it to end, or for the one that began it.
    pub fn note_kill(&self, began: OperationId) -> io::Result<()> {
        let operation = self.operation("asked")?.unwrap_or(began);
        replace(&self.file("killed"), operation.to_string().as_bytes())
    }

    fn operation(&self, file: &str) -> io::Result<Option<OperationId>> {
        match fs::read_to_string(self.file(file)) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the game's working directory, for its owner only, and gives it its mode again if the game has changed that.
    /// This program owns the directory above, so no game can replace it. A world that another account wrote, such as a
    /// restored one, passes to its new owner.
    pub fn make_world(&self, owner: Option<Account>) -> io::Result<()> {
        let world = self.world();
        make_dir(&world, 0o700)?;
        if fs::symlink_metadata(&world)?.is_symlink() {
            return Err(io::Error::other("its world is a link; mount the directory there instead"));
        }
        fs::set_permissions(&world, Permissions::from_mode(0o700))?;
        let Some(account) = owner else { return Ok(()) };
        let before = fs::symlink_metadata(&world)?.uid();
        if before != account.uid() {
            hand_over(&world, before, account)?;
        }
        Ok(())
    }

    /// Turns a failure of the machine into an answer to an order.
    pub fn unavailable(&self, error: &io::Error) -> HostError {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let full = if is_full { "the host's disk is full: " } else { "" };
        HostError::Unavailable(format!("{full}{}: {error}", self.0.display()))
    }
}

impl Gate<'_> {
    /// Returns the directory of the server.
    pub fn dir(&self) -> &ServerDir {
        self.dir
    }

    /// Checks that no generation above this one was ordered. Otherwise the caller has been overtaken.
    pub fn up_to_date(&self, generation: Generation) -> Result<Option<Generation>, HostError> {
        match self.dir.seen()? {
            Some(seen) if seen > generation => Err(HostError::Stale { seen }),
            seen => Ok(seen),
        }
    }

    /// Records the operation for which the run is asked to end; `None` when the run begins.
    pub fn note_asked(&self, operation: Option<OperationId>) -> Result<(), HostError> {
        let file = self.dir.file("asked");
        // The file of a run that begins is empty, and has the space of the next record.
        let text = operation.map(|operation| operation.to_string()).unwrap_or_default();
        replace(&file, text.as_bytes()).map_err(|error| self.dir.unavailable(&error))
    }
}

/// Gives everything below a directory that one account owns to another account, the directory last. Leaves alone what
/// others own: a game may have linked a file of the system into its world.
fn hand_over(dir: &Path, before: u32, account: Account) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let (path, its) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        if its.is_dir() {
            hand_over(&path, before, account)?;
        } else if its.uid() == before {
            lchown(path, Some(account.uid()), Some(account.gid()))?;
        }
    }
    lchown(dir, Some(account.uid()), Some(account.gid()))
}

/// Creates a directory of that mode if it is absent, whatever the umask.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Runs blocking work off the async threads, within the current tracing span.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.unwrap_or_else(|error| Err(HostError::Unavailable(format!("the host's work was cut short: {error}"))))
}
