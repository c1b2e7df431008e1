//! Account of the programs in a container, and of the world's files.

use agis_base::ServerId;
use agis_machine::{Machine, account::Account};
use agis_servers::{
    game::{Container, ContainerUser},
    host::HostError,
};

use crate::engine::Brand;

/// Account of a container, inside and outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunAs {
    /// Account in the container, as the engine takes it.
    pub(crate) inside: String,
    /// Mode of the user namespace, as the engine takes it; `None` for the engine's default.
    pub(crate) namespace: Option<String>,
    /// Account of the world's files on this machine; `None` for this program's own one.
    pub(crate) owner: Option<Account>,
}

/// Capabilities by which a program makes files that belong to somebody else.
const GIVING: [&str; 3] = ["CHOWN", "SETUID", "SETGID"];

/// Returns the reason why a rootless engine must not run this container: files of the engine's further accounts would be in
/// its world, and AGIS could neither read nor delete them.
pub(crate) fn why_not(container: &Container, is_rootless: bool) -> Option<String> {
    let giving: Vec<_> = container.capabilities.iter().map(String::as_str).filter(|it| GIVING.contains(it)).collect();
    (is_rootless && !giving.is_empty()).then(|| {
        format!(
            "its image gives files to other accounts ({}), which AGIS could not delete under a rootless engine: use an engine \
             of root, or an image that needs no capabilities",
            giving.join(", ")
        )
    })
}

/// Returns the account of a server's container.
///
/// As root, each server has an account of its own, or that of the catalogue. Otherwise its files belong to the account of
/// this program, whatever the container calls it: so the world can be measured, kept and deleted.
///
/// # Errors
/// Fails if this program cannot give files to the account of the catalogue, or could not delete those of the game.
pub(crate) fn of(
    machine: &Machine,
    server: ServerId,
    container: &Container,
    (brand, is_rootless): (Brand, bool),
) -> Result<RunAs, HostError> {
    if let Some(why) = why_not(container, is_rootless) {
        return Err(HostError::Failed(why));
    }
    let this = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let text = |uid: u32, gid: u32| format!("{uid}:{gid}");
    match (is_rootless, brand, machine.account(server), container.user) {
        (true, Brand::Podman, _, user) => {
            let ContainerUser { uid, gid } = user.unwrap_or(ContainerUser { uid: this.0, gid: this.1 });
            let namespace = Some(format!("keep-id:uid={uid},gid={gid}"));
            Ok(RunAs { inside: text(uid, gid), namespace, owner: None })
        }
        // The engine's own account is root in its containers, and a stranger outside is nobody else.
        (true, Brand::Docker, _, _) => Ok(RunAs { inside: text(0, 0), namespace: None, owner: None }),
        (false, _, Some(_), Some(ContainerUser { uid, gid })) => {
            Ok(RunAs { inside: text(uid, gid), namespace: None, owner: Some(Account::numbered(uid)) })
        }
        (false, _, Some(account), None) => {
            let inside = text(account.uid(), account.gid());
            Ok(RunAs { inside, namespace: None, owner: Some(account) })
        }
        (false, _, None, Some(user)) if (user.uid, user.gid) != this => Err(HostError::Failed(format!(
            "the catalogue runs this game as {}, and AGIS runs as {}, which cannot give files away: run AGIS as root, or use \
             a rootless engine",
            text(user.uid, user.gid),
            text(this.0, this.1)
        ))),
        (false, _, None, _) => Ok(RunAs { inside: text(this.0, this.1), namespace: None, owner: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootless_engine_gives_no_files_away() {
        let container = |capabilities: &[&str]| Container {
            image: "docker.io/x/y:1".to_owned(),
            entrypoint: vec![],
            command: vec![],
            user: None,
            mounts: vec![],
            capabilities: capabilities.iter().map(|it| (*it).to_owned()).collect(),
            is_read_only: true,
            temporary: vec![],
            has_public_ports: false,
        };
        assert_eq!(why_not(&container(&["SYS_NICE"]), true), None);
        assert_eq!(why_not(&container(&["CHOWN", "SETUID"]), false), None);
        let why = why_not(&container(&["KILL", "CHOWN", "SETUID"]), true).expect("a reason");
        assert!(why.contains("(CHOWN, SETUID)"), "{why}");
    }
}
