//! Files of an image that is built from scratch.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// Commands of busybox that an image has.
const COMMANDS: [&str; 12] = ["sh", "sleep", "cat", "echo", "kill", "id", "yes", "touch", "ls", "head", "nc", "ln"];

/// Puts programs and the libraries that they load into `bin`, and busybox if it is installed as a static program.
pub(crate) fn fill(root: &Path, programs: &[&Path]) -> Result<()> {
    let bin = root.join("bin");
    fs::create_dir_all(&bin).map_err(Error::at(&bin))?;
    for program in programs {
        let name = program.file_name().unwrap_or_default();
        fs::copy(program, bin.join(name)).map_err(Error::at(program))?;
        for library in libraries(program)? {
            let target = root.join(library.strip_prefix("/").unwrap_or(&library));
            fs::create_dir_all(target.parent().unwrap_or(root)).map_err(Error::at(&target))?;
            fs::copy(&library, &target).map_err(Error::at(&library))?;
        }
    }
    if fs::copy("/bin/busybox", bin.join("busybox")).is_ok() {
        for name in COMMANDS {
            symlink("busybox", bin.join(name)).map_err(Error::at(&bin))?;
        }
    }
    Ok(())
}

/// Returns a folder as tar(1) packs it.
pub(crate) fn tar(root: &Path) -> Result<Vec<u8>> {
    let tar = Command::new("tar").arg("-C").arg(root).args(["--owner=0", "--group=0", "-c", "."]).output();
    tar.map(|output| output.stdout).map_err(|error| Error::new(format!("cannot run tar: {error}")))
}

/// Returns the libraries that a program loads, as ldd(1) finds them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let found = Command::new("ldd").arg(program).output();
    let text = found.map_err(|error| Error::new(format!("cannot run ldd: {error}")))?.stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.split_ascii_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}
