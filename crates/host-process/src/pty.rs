//! Pseudo-terminal of a game, for programs that hold their output back without a terminal.

use std::{io, os::fd::OwnedFd};

use agis_servers::console::Terminal;
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{ioctl_tiocsctty, setsid},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    stdio::dup2_stdin,
    termios::{InputModes, LocalModes, OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};

/// Height of the terminal, in lines.
const LINES: u16 = 50;

/// Both ends of a pseudo-terminal.
pub(crate) struct Pty {
    /// End of the shim, which does not wait.
    pub(crate) ours: OwnedFd,
    pub(crate) games: OwnedFd,
}

impl Pty {
    pub(crate) fn open() -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        // The path of this end may be hidden.
        let games = ioctl_tiocgptpeer(&ours, flags)?;
        let mut modes = tcgetattr(&games)?;
        // The console has the commands already. No byte of them is a signal, or stops the output.
        modes.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        modes.input_modes -= InputModes::IXON | InputModes::IXOFF;
        modes.output_modes -= OutputModes::OPOST;
        tcsetattr(&games, OptionalActions::Now, &modes)?;
        tcsetwinsize(&games, Winsize { ws_row: LINES, ws_col: Terminal::COLUMNS, ws_xpixel: 0, ws_ypixel: 0 })?;
        fcntl_setfl(&ours, fcntl_getfl(&ours)? | OFlags::NONBLOCK)?;
        Ok(Self { ours, games })
    }
}

/// Gives this process a session of its own, with the terminal on standard output as its terminal and standard input.
pub(crate) fn take_over() -> io::Result<()> {
    setsid()?;
    ioctl_tiocsctty(io::stdout())?;
    Ok(dup2_stdin(io::stdout())?)
}
