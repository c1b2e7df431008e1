//! Watches the size of the worlds of running servers, and tells their shims by signals: those need no space.

use std::{collections::HashSet, fs, path::Path, sync::Mutex};

use agis_base::ServerId;
use agis_machine::{SERVERS, disk::usage, server_dir};
use rustix::process::{Signal, pidfd_send_signal};

use crate::status::Status;

/// Servers whose owners were warned.
#[derive(Debug, Default)]
pub(crate) struct WorldWatch(Mutex<HashSet<ServerId>>);

impl WorldWatch {
    /// Measures the world of each running server that has a limit. Warns on its console at 90 %, and has the game stopped
    /// above the limit.
    pub(crate) fn look(&self, root: &Path) {
        let servers = fs::read_dir(root.join(SERVERS)).into_iter().flatten().flatten();
        for server in servers.filter_map(|entry| entry.file_name().to_str()?.parse::<ServerId>().ok()) {
            if !self.look_at(root, server) {
                self.warned().remove(&server);
            }
        }
    }

    /// Returns whether the world is near its limit.
    fn look_at(&self, root: &Path, server: ServerId) -> bool {
        let dir = server_dir(root, server);
        let Ok(Some((Status { disk: Some(limit), .. }, Some(shim)))) = Status::standing(&dir.status()) else {
            return false;
        };
        let bytes = usage(&dir.world());
        let signal = match bytes {
            bytes if bytes > limit.bytes() => Signal::USR1,
            bytes if bytes > limit.bytes() / 10 * 9 => Signal::USR2,
            _ => return false,
        };
        if self.warned().insert(server) || signal == Signal::USR1 {
            tracing::warn!(%server, bytes, limit = limit.bytes(), "world is near or beyond its limit");
            // The run may have ended meanwhile.
            let _ = pidfd_send_signal(&shim, signal);
        }
        true
    }

    fn warned(&self) -> std::sync::MutexGuard<'_, HashSet<ServerId>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
