//! Random text.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// Returns 96 random bits as 24 hexadecimal digits: a password, or a name that is taken nowhere.
///
/// # Errors
/// Fails if the system gives no random bytes.
pub fn hex() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 12];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Error::at(source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
