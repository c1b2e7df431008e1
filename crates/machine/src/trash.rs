//! Worlds of deleted servers.

use std::{
    cmp::Reverse,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use agis_base::ServerId;

use crate::disk::{in_words, measure, open_unlocked, usage};

/// Name of the directory within the data directory.
pub(crate) const TRASH: &str = "trash";

/// Time for which the world of a deleted server is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Worlds of deleted servers, each in `<server>-<seconds since 1970>`.
#[derive(Debug)]
pub struct Trash {
    path: PathBuf,
    /// Bytes that all worlds together may take; `None` for no limit.
    max: Option<u64>,
}

impl Trash {
    /// Returns the trash in a directory.
    pub fn new(path: PathBuf, max: Option<u64>) -> Self {
        Self { path, max }
    }

    /// Moves a world into the trash.
    pub fn take(&self, server: ServerId, world: &Path) -> io::Result<()> {
        // A directory moves only if this account may write to it, and the game may have locked it.
        let _ = open_unlocked(rustix::fs::CWD, world);
        match fs::rename(world, self.path.join(format!("{server}-{}", now().as_secs()))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }

    /// Deletes worlds that were kept long enough, and the oldest of those that take too much space. Logs those that cannot
    /// be deleted; the next sweep tries them again.
    pub fn sweep(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let worlds =
            entries.filter_map(|entry| Some((deleted_at(&entry.file_name().to_string_lossy())?, entry.path())));
        let (old, mut kept): (Vec<_>, Vec<_>) = worlds.partition(|(deleted, _)| *deleted + KEPT < now());
        for (_, path) in old {
            remove(&path);
        }
        let Some(max) = self.max else { return };
        kept.sort_unstable_by_key(|(deleted, _)| Reverse(*deleted));
        let mut all = 0_u64;
        for (_, path) in kept {
            let bytes = usage(&path);
            all = all.saturating_add(bytes);
            if all > max {
                let (size, max) = (in_words(bytes), in_words(max));
                tracing::warn!(path = %path.display(), size, max, "world in the trash was deleted early");
                remove(&path);
            }
        }
    }
}

fn remove(path: &Path) {
    // Opens what a game of this account has locked.
    measure(path);
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "expired world could not be deleted");
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns the time at which a world was deleted, since 1970; `None` if the name is not that of a world.
fn deleted_at(name: &str) -> Option<Duration> {
    let (_, seconds) = name.rsplit_once('-')?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trash with a world of 100 KiB for each age in seconds, and its names after a sweep.
    fn swept(max: Option<u64>, ages: &[u64]) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a directory");
        for (server, age) in ages.iter().enumerate() {
            let world = dir.path().join(format!("{server}-{}", now().as_secs() - age));
            fs::create_dir(&world).expect("a world");
            fs::write(world.join("map"), vec![1; 100 << 10]).expect("a file");
        }
        fs::create_dir(dir.path().join("lost+found")).expect("a directory");
        Trash::new(dir.path().to_owned(), max).sweep();
        let names = fs::read_dir(dir.path()).expect("a directory").map(|it| it.expect("it").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().split('-').next().map(str::to_owned)).collect();
        names.sort();
        names.into_iter().flatten().collect()
    }

    #[test]
    fn a_world_is_kept_for_seven_days() {
        let week = KEPT.as_secs();
        assert_eq!(swept(None, &[0, week - 60, week + 60]), ["0", "1", "lost+found"]);
    }

    #[test]
    fn oldest_worlds_go_first_above_the_maximum() {
        assert_eq!(swept(Some(250 << 10), &[300, 200, 100, 400]), ["1", "2", "lost+found"]);
        assert_eq!(swept(Some(1), &[300]), ["lost+found"]);
    }
}
