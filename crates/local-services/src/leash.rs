//! Ends a helper process when this one dies, even by SIGKILL.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::account::Account;
use crate::error::{Error, Result};

/// A shell that waits for this process to be gone and then runs a script.
///
/// The script notices by the end of the pipe that it reads, which the kernel closes however we die. Dropping the leash
/// takes it off: then the script never runs.
#[derive(Debug)]
pub struct Leash(Child);

impl Leash {
    /// Runs `script` by `sh` as `account`, with `args` as its `$1`, `$2`, …, once this process is gone.
    pub fn tie(account: &Account, script: &str, args: &[&str]) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("cat >/dev/null\n{script}")).arg("leash").args(args);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A Ctrl-C in the terminal is for us, and so is the order in which things then stop.
        shell.process_group(0).current_dir("/");
        account.apply(&mut shell);
        shell.spawn().map(Self).map_err(|error| Error::new(format!("cannot run sh: {error}")))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // Kill first: `wait` closes the pipe, and the closed pipe is the signal to run the script.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
