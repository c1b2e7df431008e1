//! Writes a game's files into its working directory, with the game's own rights, so a link that the game left behind
//! opens nothing new.

mod edit;
mod error;
mod json;
mod lines;
mod yaml;

use std::{
    fmt,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use agis_servers::game::{Format, Kind, Setting};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use self::error::broken;

/// Maximum size of a file in which keys are set, in bytes. Configuration files are far smaller.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// File to write before a game begins. Its placeholders are filled in.
#[derive(Clone, Serialize, Deserialize)]
pub struct FileOrder {
    /// Path in the working directory.
    pub path: PathBuf,
    /// Whole text, or its beginning if keys are set.
    pub text: String,
    /// Format of the file.
    pub format: Format,
    /// Whether the file is written once or at every start.
    pub kind: Kind,
    /// Keys to set; empty if the text is the whole file.
    pub set: Vec<Setting>,
}

impl fmt::Debug for FileOrder {
    /// Leaves out the text and the keys, which hold secrets of settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOrder").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Writes the files in their order.
///
/// # Errors
/// Fails with a sentence that names the file, and says what is wrong with it.
pub fn write(orders: &[FileOrder]) -> io::Result<()> {
    for order in orders {
        order
            .carry_out()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", order.path.display())))?;
    }
    Ok(())
}

impl FileOrder {
    fn carry_out(&self) -> io::Result<()> {
        let path = &self.path;
        if self.kind == Kind::Initial && fs::symlink_metadata(path).is_ok() {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|error| {
                io::Error::new(error.kind(), format!("the directory {} cannot be made: {error}", parent.display()))
            })?;
        }
        let Some(mut file) = open(path)? else {
            let text = edit::set(self.format, &self.text, &self.set)?;
            // A script may be the game's program.
            let mode = if text.starts_with("#!") { 0o777 } else { 0o666 };
            return replace(path, &text, mode, None);
        };
        let permissions = file.metadata()?.permissions();
        let current = read(&mut file)?;
        let wanted = match self.set.as_slice() {
            [] => self.text.clone().into_bytes(),
            set => {
                let text = str::from_utf8(&current)
                    .map_err(|_| broken("is not UTF-8 text any more; repair it or remove it, and start again"))?;
                edit::set(self.format, text, set)?.into_bytes()
            }
        };
        if wanted == current { Ok(()) } else { replace(path, &wanted, 0o600, Some(permissions)) }
    }
}

/// Opens a file that may be written; `None` if it is absent. Opening a FIFO must not wait for its other end.
fn open(path: &Path) -> io::Result<Option<File>> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?.file_type(),
    };
    if !found.is_file() {
        let what = match () {
            () if found.is_symlink() => "a link",
            () if found.is_dir() => "a directory",
            () => "no regular file",
        };
        return Err(broken(&format!("is {what} where AGIS writes a file at every start; remove it, and start again")));
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened =
        OpenOptions::new().read(true).write(true).custom_flags(i32::try_from(flags).unwrap_or_default()).open(path);
    opened.map(Some).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            broken("cannot be written by the game's account; change its mode or remove it, and start again")
        }
        _ => error,
    })
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(broken("is larger than 4 MiB, which no configuration is; remove it, and start again"));
    }
    Ok(bytes)
}

/// Replaces a file as a whole: after a full disk or a crash, either the old text or the new one is there.
fn replace(path: &Path, text: impl AsRef<[u8]>, mode: u32, permissions: Option<Permissions>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The name of a long-named file has no room for more.
    let fresh = path.with_file_name(format!(".agis-{}", name.chars().take(40).collect::<String>()));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    let written = file.write_all(text.as_ref()).and_then(|()| match permissions {
        Some(permissions) => file.set_permissions(Permissions::from_mode(permissions.mode() & 0o777)),
        None => Ok(()),
    });
    written.and_then(|()| fs::rename(&fresh, path)).inspect_err(|_| {
        // The text is of no use any more.
        let _ = fs::remove_file(&fresh);
    })
}

#[cfg(test)]
mod tests;
