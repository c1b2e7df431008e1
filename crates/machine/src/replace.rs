//! Replaces small files, on a full disk too.
//!
//! A new file needs space, and on a full disk the game takes whatever becomes free. So each file has a spare beside it
//! with space of its own. A replacement fills the spare and exchanges the two names, and the old file is the next spare.
//! A file system that copies on each write (btrfs, zfs) needs its own reserve.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};

/// Size of each file: its text, and line feeds up to a block, which stays allocated.
const BLOCK: usize = 4096;

/// Replaces a file, so every reader, and the next boot, sees either the old text or the new one. Line feeds follow the
/// text.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut padded = text.to_vec();
    padded.resize(text.len().max(BLOCK), b'\n');
    if exchange(path, &padded).is_ok() {
        return Ok(());
    }
    write_atomically(path, &padded)?;
    reserve(path);
    Ok(())
}

/// Returns the path of a file's spare.
fn spare(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".spare");
    name.into()
}

/// Makes the spare. Without room for one, replacements need space as usual.
fn reserve(path: &Path) {
    let spare = spare(path);
    let made = OpenOptions::new().write(true).create_new(true).open(&spare);
    if let Ok(file) = made
        && write(file, &[b'\n'; BLOCK]).is_err()
    {
        let _ = fs::remove_file(&spare);
    }
}

/// Fills the spare and exchanges it with the file. Fails if either is absent, another process writes the spare, or the
/// file system cannot exchange.
fn exchange(path: &Path, text: &[u8]) -> io::Result<()> {
    let spare = spare(path);
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().write(true).custom_flags(nofollow).open(&spare)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    // Another process may have exchanged it since it was opened. It is the file then.
    if fs::symlink_metadata(&spare)?.ino() != file.metadata()?.ino() {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    file.set_len(text.len() as u64)?;
    write(file.try_clone()?, text)?;
    Ok(renameat_with(CWD, &spare, CWD, path, RenameFlags::EXCHANGE)?)
}

fn write(mut file: File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.sync_data()
}

/// Replaces a file, so every reader, and the next boot, sees either the old text or the new one.
pub fn write_atomically(path: &Path, text: &[u8]) -> io::Result<()> {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    let draft = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_extension(format!("new-{}-{draft}", std::process::id()));
    let mut file = File::create(&fresh)?;
    let written = file.write_all(text).and_then(|()| file.sync_data()).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // A part of it would keep what little space a full disk has.
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn replaced_file_has_the_last_text() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("generation");
        for text in ["1", "22", "", "333", &"4".repeat(2 * BLOCK), "5"] {
            replace(&path, text.as_bytes()).expect("replaced");
            assert_eq!(fs::read_to_string(&path).expect("text").trim_end_matches('\n'), text);
        }
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).expect("a directory").map(|it| it.expect("it").file_name()).collect();
        names.sort();
        assert_eq!(names, ["generation", "generation.spare"]);
    }

    #[test]
    fn many_writers_leave_one_whole_text() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("status.json");
        thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for round in 0..50 {
                        replace(path, format!("{writer} {round}").repeat(20).as_bytes()).expect("replaced");
                        let text = fs::read_to_string(path).expect("text");
                        let text = text.trim_end_matches('\n');
                        assert_eq!(text, text[..text.len() / 20].repeat(20));
                    }
                });
            }
        });
    }
}
