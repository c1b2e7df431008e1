//! Checks whether a program can be run, and explains why not.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use agis_machine::account::Account;
use agis_servers::host::Unfit;
use rustix::fs::{Access, access};
use thiserror::Error;

/// The supervisor itself, even if its file is replaced or removed.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";

/// Directories in which a program without a slash is looked for, and the `PATH` of games.
pub(crate) const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

/// Number of bytes of a file in which the kernel finds an interpreter (execve(2)).
const HEAD: usize = 256;
/// Maximum number of program headers. No program has as many.
const SEGMENTS_MAX: u16 = 256;
/// PT_INTERP of elf(5).
const INTERPRETER: u32 = 3;

/// Reason why the games' account cannot run a program. The text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Why {
    #[error("the program '{0}' was not found")]
    NotFound(String),
    #[error("'{0}' is a link to a missing file")]
    Dangling(String),
    #[error("the program '{0}' cannot be reached: {1}")]
    Unreachable(String, String),
    #[error("'{0}' is a directory, not a program")]
    Directory(String),
    #[error("'{0}' is not a file, so it is not a program")]
    NoFile(String),
    #[error("the account that games run as may not {verb} '{what}' (permission is missing; its mode is {mode:04o})")]
    Refused { verb: &'static str, what: String, mode: u32 },
    #[error(
        "the program '{program}' is there, but its interpreter {interpreter:?} was not found{}",
        if interpreter.ends_with('\r') { WINDOWS } else { "" }
    )]
    NoInterpreter { program: String, interpreter: String },
}

const WINDOWS: &str = " (its lines end as on Windows; they must end as on Linux)";

impl Why {
    /// Returns the reason for everybody. `named` is the program's name in the catalogue. Only the operator learns paths
    /// of the machine.
    pub(crate) fn unfit(&self, named: &str) -> Unfit {
        let reason = match self {
            Self::NotFound(_) => format!("the program '{named}' was not found"),
            Self::Dangling(_) => format!("'{named}' is a link to a missing file"),
            Self::Unreachable(..) => format!("the program '{named}' cannot be reached"),
            Self::Directory(_) => format!("'{named}' is a directory, not a program"),
            Self::NoFile(_) => format!("'{named}' is not a file, so it is not a program"),
            Self::Refused { .. } => {
                format!("the account that games run as may not execute '{named}' (permission is missing)")
            }
            Self::NoInterpreter { interpreter, .. } => format!(
                "the program '{named}' is there, but its interpreter was not found{}",
                if interpreter.ends_with('\r') { WINDOWS } else { "" }
            ),
        };
        Unfit { reason, detail: self.to_string() }
    }
}

/// Finds the program of a command. A relative path with a slash is in the server's directory, so `game_exec` looks for
/// that program when the game begins.
///
/// # Errors
/// Returns the reason why this account can run no such program.
pub(crate) fn find(program: &str, account: Option<Account>) -> Result<String, Why> {
    if program == OWN_PROGRAM || program.contains('/') && !program.starts_with('/') {
        return Ok(program.to_owned());
    }
    if program.starts_with('/') {
        return check(Path::new(program), account).map(|()| program.to_owned());
    }
    let mut why = None;
    for dir in SEARCH_PATH.split(':') {
        let path = format!("{dir}/{program}");
        match check(Path::new(&path), account) {
            Ok(()) => return Ok(path),
            Err(Why::NotFound(_)) => {}
            Err(reason) => why = why.or(Some(reason)),
        }
    }
    Err(why.unwrap_or_else(|| Why::NotFound(program.to_owned())))
}

/// Checks whether this account, or the one of this process, can run the program. Access control lists and mount options
/// are known to the kernel only, and show when the game begins.
///
/// # Errors
/// Returns the reason why not.
pub(crate) fn check(path: &Path, account: Option<Account>) -> Result<(), Why> {
    let shown = path.display().to_string();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_link = fs::symlink_metadata(path).is_ok();
            return Err(if is_link { Why::Dangling(shown) } else { Why::NotFound(shown) });
        }
        Err(error) => return Err(Why::Unreachable(shown, error.to_string())),
    };
    if found.is_dir() {
        return Err(Why::Directory(shown));
    }
    if !found.is_file() {
        return Err(Why::NoFile(shown));
    }
    may_execute(path, &found, account)?;
    match interpreter(path) {
        Some(Interpreter { path: interpreter, missing: true }) => {
            Err(Why::NoInterpreter { program: shown, interpreter })
        }
        _ => Ok(()),
    }
}

fn may_execute(path: &Path, found: &Metadata, account: Option<Account>) -> Result<(), Why> {
    let refused = |what: &Path, verb, mode: u32| {
        Err(Why::Refused { verb, what: what.display().to_string(), mode: mode & 0o7777 })
    };
    let Some(account) = account else {
        return if access(path, Access::EXEC_OK).is_ok() { Ok(()) } else { refused(path, "execute", found.mode()) };
    };
    let may = |it: &Metadata| {
        let shift = if it.uid() == account.uid() {
            6
        } else if it.gid() == account.gid() {
            3
        } else {
            0
        };
        it.mode() >> shift & 1 == 1
    };
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let above = real.ancestors().skip(1).filter_map(|dir| Some((dir, fs::metadata(dir).ok()?)));
    for (dir, its) in above {
        if !may(&its) {
            return refused(dir, "enter", its.mode());
        }
    }
    if may(found) { Ok(()) } else { refused(path, "execute", found.mode()) }
}

struct Interpreter {
    path: String,
    missing: bool,
}

/// Returns the interpreter of a program: the `#!` line of a script, or the loader of an ELF file; `None` if the kernel
/// needs none.
fn interpreter(path: &Path) -> Option<Interpreter> {
    // A program can be executable but not readable, and runs all the same.
    let file = File::open(path).ok()?;
    let mut head = [0; HEAD];
    let length = file.read_at(&mut head, 0).ok()?;
    let head = &head[..length];
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let program = words.next()?.to_owned();
        let is_there = |path: &str| Path::new(path).is_file();
        if program.ends_with("/env") && is_there(&program) {
            let named = words.find(|word| !word.starts_with('-') && !word.contains('='))?.to_owned();
            let missing =
                !named.contains('/') && !SEARCH_PATH.split(':').any(|dir| is_there(&format!("{dir}/{named}")));
            return Some(Interpreter { path: named, missing });
        }
        let missing = !is_there(&program);
        return Some(Interpreter { path: program, missing });
    }
    let path = loader(&file, head)?;
    let missing = !Path::new(&path).is_file();
    Some(Interpreter { path, missing })
}

/// Finds the interpreter of an elf(5) file of either size, in this machine's byte order.
fn loader(file: &File, head: &[u8]) -> Option<String> {
    let is_64 = match head.get(..6)? {
        [0x7f, b'E', b'L', b'F', class, order] if (*order == 1) == cfg!(target_endian = "little") => *class == 2,
        _ => return None,
    };
    let number = |bytes: &[u8], at: usize, size: usize| -> Option<u64> {
        let bytes = bytes.get(at..at + size)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if cfg!(target_endian = "little") { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
    };
    let (word, offset_at, size_at) = if is_64 { (8, 8, 32) } else { (4, 4, 16) };
    let (table_at, entry_at) = if is_64 { (32, 54) } else { (28, 42) };
    let table = number(head, table_at, word)?;
    let entry_size = number(head, entry_at, 2)?;
    let entries = number(head, entry_at + 2, 2)?.min(SEGMENTS_MAX.into());
    for place in 0..entries {
        let mut entry = [0; 56];
        let length = file.read_at(&mut entry, table.checked_add(place * entry_size)?).ok()?;
        let entry = &entry[..length];
        if number(entry, 0, 4)? == u64::from(INTERPRETER) {
            let (offset, size) = (number(entry, offset_at, word)?, number(entry, size_at, word)?);
            let mut path = vec![0; usize::try_from(size).ok()?.min(4096)];
            file.read_exact_at(&mut path, offset).ok()?;
            return Some(String::from_utf8_lossy(path.split(|byte| *byte == 0).next()?).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(dir: &tempfile::TempDir, name: &str, text: &[u8], mode: u32) -> std::path::PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        path
    }

    #[test]
    fn reasons_for_an_unrunnable_program_differ() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let nobody = Some(Account::numbered(65534));
        for (name, text, mode, says) in [
            ("fine", "#!/bin/sh\n", 0o755, None),
            ("by-env", "#!/usr/bin/env -S sh -e\n", 0o755, None),
            ("locked", "#!/bin/sh\n", 0o644, Some("permission is missing; its mode is 0644")),
            ("for-its-owner", "#!/bin/sh\n", 0o700, Some("permission is missing; its mode is 0700")),
            ("of-another", "#! /no/such/shell -x\n", 0o755, Some("its interpreter \"/no/such/shell\" was not found")),
            (
                "of-env",
                "#!/usr/bin/env no-such-language\n",
                0o755,
                Some("its interpreter \"no-such-language\" was not found"),
            ),
            ("of-windows", "#!/bin/sh\r\n", 0o755, Some("end as on Windows")),
        ] {
            let path = file(&dir, name, text.as_bytes(), mode);
            let why = check(&path, nobody).err().map(|why| why.to_string());
            assert_eq!(why.is_some(), says.is_some(), "{name}: {why:?}");
            assert!(says.is_none_or(|says| why.as_ref().is_some_and(|why| why.contains(says))), "{name}: {why:?}");
        }
        let missing = check(&dir.path().join("none"), nobody).expect_err("it is not there").to_string();
        assert!(missing.ends_with("/none' was not found"), "{missing}");
        assert!(check(dir.path(), nobody).is_err_and(|why| why.to_string().contains("is a directory")));
        std::os::unix::fs::symlink(dir.path().join("none"), dir.path().join("link")).expect("a link");
        let dangling = check(&dir.path().join("link"), nobody).expect_err("it leads nowhere").to_string();
        assert!(dangling.ends_with("/link' is a link to a missing file"), "{dangling}");
        let below = check(&dir.path().join("fine/below"), nobody).expect_err("a file is no directory").to_string();
        assert!(below.contains("cannot be reached: Not a directory"), "{below}");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("permissions");
        if dir.path().metadata().expect("a directory").uid() != 65534 {
            assert!(
                check(&dir.path().join("fine"), nobody).is_err_and(|why| why.to_string().contains("may not enter"))
            );
        }
    }

    #[test]
    fn public_reason_names_nothing_of_the_machine() {
        let named = "zombies";
        let path = || "/secret/zombies".to_owned();
        for why in [
            Why::NotFound(path()),
            Why::Dangling(path()),
            Why::Unreachable(path(), "error in /secret".to_owned()),
            Why::Directory(path()),
            Why::NoFile(path()),
            Why::Refused { verb: "enter", what: "/secret".to_owned(), mode: 0o700 },
            Why::NoInterpreter { program: path(), interpreter: "/secret/shell\r".to_owned() },
        ] {
            let Unfit { reason, detail } = why.unfit(named);
            assert!(reason.contains("'zombies'") && !reason.contains("secret"), "{reason}");
            assert!(detail.contains("/secret"), "{detail}");
        }
    }

    #[test]
    fn missing_loader_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut program = fs::read("/bin/sh").expect("a program");
        let Some(at) = program.windows(9).position(|bytes| bytes == b"/ld-linux") else { return };
        assert!(check(Path::new("/bin/sh"), None).is_ok());
        program[at + 1] = b'n';
        let why = check(&file(&dir, "foreign", &program, 0o755), None).expect_err("nothing can load it").to_string();
        assert!(why.contains("/nd-linux") && why.contains("its interpreter"), "{why}");
    }
}
