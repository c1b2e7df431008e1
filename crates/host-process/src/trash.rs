//! Worlds of deleted servers.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use agis_base::ServerId;

/// Time for which the world of a deleted server is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Worlds of deleted servers, each in `<server>-<seconds since 1970>`.
#[derive(Debug)]
pub(crate) struct Trash(PathBuf);

impl Trash {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Moves a world into the trash.
    pub(crate) fn take(&self, server: ServerId, world: &Path) -> io::Result<()> {
        match fs::rename(world, self.0.join(format!("{server}-{}", now().as_secs()))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }

    /// Deletes worlds that were kept long enough. Logs those that cannot be deleted; the next sweep tries them again.
    pub(crate) fn sweep(&self) {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_old(&entry.file_name().to_string_lossy(), now())) {
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "expired world could not be deleted");
            }
        }
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn is_old(name: &str, now: Duration) -> bool {
    let deleted = name.rsplit_once('-').and_then(|(_, seconds)| seconds.parse().ok());
    deleted.is_some_and(|seconds| Duration::from_secs(seconds) + KEPT < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_kept_for_seven_days() {
        let now = Duration::from_secs(1_000_000_000);
        assert!(!is_old("7-999395200", now));
        assert!(is_old("7-999395199", now));
        assert!(!is_old("lost+found", now) && !is_old("somebody-else", now));
    }
}
