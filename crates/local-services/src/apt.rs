//! Packages of Debian's package manager.

use std::{
    fs::File,
    process::{Command, Stdio},
};

/// Installs packages, as root or by a sudo that asks nothing. Whether it helped shows in what they bring.
pub fn install(packages: &[&str]) {
    let root = rustix::process::geteuid().is_root();
    if !succeeds(Command::new("apt-get").arg("--version").stdout(Stdio::null()).stderr(Stdio::null())) {
        return;
    }
    if !root && !succeeds(Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null())) {
        return;
    }
    // apt-get refuses to work beside another one.
    let turn = File::create(std::env::temp_dir().join("agis-apt-get.lock"));
    let _ = turn.as_ref().map(File::lock);
    announce(&format!("installing {0} (apt-get install {0})", packages.join(" ")));
    let apt = |args: &[&str]| {
        let mut command = Command::new(if root { "env" } else { "sudo" });
        if !root {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]).args(args);
        // Standard output is for what the caller has to say.
        succeeds(command.stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr())))
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    // A package list that is there already saves the update.
    if !apt(&install) && apt(&["update"]) {
        apt(&install);
    }
}

pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

#[expect(clippy::print_stderr, reason = "a download takes a while, and the person at the terminal should know why")]
pub(crate) fn announce(text: &str) {
    eprintln!("==> {text}");
}
