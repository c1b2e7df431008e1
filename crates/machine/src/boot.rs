//! Identity of the boot. Nothing that ran before a reboot runs after it.

use std::{fs, io};

/// Returns the id of this boot.
///
/// # Errors
/// Fails if there is no `/proc`.
pub fn id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
