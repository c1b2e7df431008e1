//! Takes the last step before a game, as the game's account, so the game cannot undo it.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::Path,
    process::{Command, ExitCode},
};

use rustix::process::{Signal, geteuid, getppid, getuid, set_parent_process_death_signal};

use crate::{
    files::{self, FileOrder},
    program,
    spec::OWN_PROGRAM,
};

/// Becomes the game. Takes the shim's process id, the length of the files' description, the program and its arguments.
/// The description stands at the beginning of standard input. The rest of standard input is the game's console.
///
/// Returns on failure only. The reason goes to standard error, which is the server's log.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Err(error) = become_game(args.into_iter());
    let _ = writeln!(io::stderr(), "the game was not begun: {error}");
    ExitCode::FAILURE
}

fn become_game(mut args: impl Iterator<Item = OsString>) -> io::Result<std::convert::Infallible> {
    let mut next = || args.next().ok_or_else(|| io::Error::other("an argument is missing"));
    let (shim, length, program) = (number(next()?)?, number(next()?)?, next()?);
    tie_down(shim)?;
    write_files(length)?;
    let mut game = Command::new(&program);
    if program == OWN_PROGRAM {
        game.arg0("agis-game");
    }
    let error = game.args(args).exec();
    // The check before a start uses the same words. A program in the server's own directory does not exist before this
    // step.
    let why = program::check(Path::new(&program), None).err();
    Err(io::Error::new(
        error.kind(),
        why.map_or_else(|| format!("{}: {error}", program.display()), |why| why.to_string()),
    ))
}

fn number(text: OsString) -> io::Result<u32> {
    text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| io::Error::other("an argument is not a number"))
}

/// Drops root for good, and ties the process to the shim's life.
fn tie_down(shim: u32) -> io::Result<()> {
    if getuid().is_root() || geteuid().is_root() {
        return Err(io::Error::other("games never run as root"));
    }
    rustix::thread::set_no_new_privs(true)?;
    // A change of account clears this setting, so the shim cannot set it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The shim may have died before the signal was arranged.
    let parent = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
    if parent == Some(shim) { Ok(()) } else { Err(io::Error::other("the supervisor is gone")) }
}

/// Reads the description to its last byte and no further. The following bytes are typed for the game.
fn write_files(length: u32) -> io::Result<()> {
    let mut console = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut text = vec![0; length as usize];
    console.read_exact(&mut text)?;
    files::write(&serde_json::from_slice::<Vec<FileOrder>>(&text)?)
}
