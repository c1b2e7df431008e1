//! The engine that has the containers of a data directory, in the directory's file `engine`.
//!
//! An engine that does not know a container says that the container is gone. Asked by mistake, another engine of the machine
//! would so end every server. The first engine is therefore the only one, until an operator removes the file.

use std::path::PathBuf;

use agis_machine::{dir::blocking, settled};
use agis_servers::host::HostError;
use bollard::models::SystemInfo;

use crate::{
    address::Address,
    engine::{Brand, Trouble},
};

const FILE: &str = "engine";

/// Engine of a data directory.
#[derive(Debug)]
pub(crate) struct Pin {
    /// Path of the data directory.
    root: PathBuf,
}

impl Pin {
    pub(crate) fn of(root: PathBuf) -> Self {
        Self { root }
    }

    /// Returns the engine of the data directory; `None` if it has none yet.
    pub(crate) fn existing(root: PathBuf) -> Option<Self> {
        root.join(FILE).exists().then_some(Self { root })
    }

    /// Checks that this engine is the one of the data directory. The first engine becomes that.
    ///
    /// # Errors
    /// Fails if it is another one, or the data directory cannot be used.
    pub(crate) async fn check(&self, address: &Address, brand: Brand, info: SystemInfo) -> Result<(), Trouble> {
        let (root, found) = (self.root.clone(), identity(brand, info));
        let (file, text) = (root.join(FILE), found.clone());
        let unreadable = |error: &std::io::Error| HostError::Unavailable(format!("the data directory: {error}"));
        let known = blocking(move || settled(&root, FILE, &text).map_err(|error| unreadable(&error)));
        let known = known.await.map_err(|error| Trouble::Foreign(error.to_string()))?;
        if known.trim() == found {
            return Ok(());
        }
        Err(Trouble::Foreign(format!(
            "the container engine at {address} is {found}, and the containers of this data directory are in {}: start that \
             engine and name it by CONTAINER_HOST, or, if it is gone for good with its containers, remove the file {}",
            known.trim(),
            file.display()
        )))
    }
}

/// Returns a name that an engine keeps over its restarts and upgrades, and shares with no other engine of the machine.
fn identity(brand: Brand, info: SystemInfo) -> String {
    let root = info.docker_root_dir.unwrap_or_default();
    match brand {
        // Podman gives each answer a new id.
        Brand::Podman => format!("Podman with {root}"),
        // Docker 20.10 gives all engines of a machine one id.
        Brand::Docker => format!("Docker with {root}, id {}", info.id.unwrap_or_default()),
    }
}
