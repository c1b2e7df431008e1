//! Sentences about a file that cannot be written. The path stands before them.

use std::io;

use agis_servers::game::{Format, Setting};

/// Returns the failure of a file whose state hinders the start.
pub(super) fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Returns the failure of a text that its format does not allow.
pub(super) fn unreadable(format: Format, why: &str) -> io::Error {
    // A library may add the lines around the mistake, and only the last lines of a console are told.
    let why = why.lines().next().unwrap_or_default();
    broken(&format!("is no valid {} any more ({why}); repair it or remove it, and start again", format.title()))
}

/// Returns the failure of a key that cannot be set.
pub(super) fn misplaced(setting: &Setting) -> io::Error {
    broken(&format!("the key '{}' cannot be set, since something else is in its place", setting.path.join(".")))
}
