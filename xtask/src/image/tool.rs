use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Failure, Result};

/// The program that builds and runs images here.
pub(super) enum Tool {
    Docker,
    /// With a store of its own, of plain folders: that needs nothing of the kernel.
    Buildah(PathBuf),
}

impl Tool {
    /// Docker's client is often there without its engine, so the engine is asked.
    pub(super) fn find(store: &Path) -> Result<Self> {
        if succeeds(Command::new("docker").arg("info")) {
            return Ok(Self::Docker);
        }
        let buildah = || succeeds(Command::new("buildah").arg("--version"));
        if !buildah() {
            agis_local_services::apt::install(&["buildah"]);
        }
        if buildah() {
            return Ok(Self::Buildah(store.to_owned()));
        }
        Err(Failure::new(
            "an image is built by docker, whose engine does not answer, or by buildah: apt-get install buildah",
        ))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Buildah(_) => "buildah",
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.name());
        if let Self::Buildah(store) = self {
            command.args(["--storage-driver", "vfs", "--root"]).arg(store.join("store"));
            command.arg("--runroot").arg(store.join("run"));
        }
        command.args(args).stdin(Stdio::null());
        command
    }

    pub(super) fn build(&self, tag: &str, labels: &[(&str, String)], file: &Path, context: &Path) -> Command {
        let mut command = self.command(&["build", "--tag", tag]);
        command.args(labels.iter().flat_map(|(name, value)| ["--label".to_owned(), format!("{name}={value}")]));
        if let Self::Buildah(_) = self {
            command.args(["--isolation", "chroot"]);
        }
        command.arg("--file").arg(file).arg(context).stdout(Stdio::null());
        command
    }

    /// Removes what lost its name to a newer image, and what a killed run left of it. Docker's store is not ours alone.
    pub(super) fn forget_nameless(&self) {
        if let Self::Buildah(_) = self {
            let _ = succeeds(&mut self.command(&["rmi", "--prune", "--force"]));
        }
    }

    pub(super) fn save(&self, tag: &str, file: &Path) -> Command {
        match self {
            Self::Docker => {
                let mut command = self.command(&["save", "--output"]);
                command.arg(file).arg(tag);
                command
            }
            Self::Buildah(_) => self.command(&["push", tag, &format!("oci-archive:{}", file.display())]),
        }
    }

    /// As people read it.
    pub(super) fn size(&self, tag: &str) -> Result<String> {
        let output = self.command(&["images", "--format", "{{.Size}}", tag]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if text.is_empty() { Err(Failure::new(format!("{} knows no {tag}", self.name()))) } else { Ok(text) }
    }

    /// The account that an image runs as, and what it runs unless it is told otherwise.
    pub(super) fn starts(&self, tag: &str) -> Result<String> {
        let mut inspect = match self {
            Self::Docker => self.command(&["image", "inspect", "--format", "{{.Config.User}} {{.Config.Cmd}}"]),
            Self::Buildah(_) => self.command(&[
                "inspect",
                "--type",
                "image",
                "--format",
                "{{.OCIv1.Config.User}} {{.OCIv1.Config.Cmd}}",
            ]),
        };
        let output = inspect.arg(tag).stderr(Stdio::inherit()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A container of an image, to run programs in.
    pub(super) fn container(&self, tag: &str) -> Result<Container<'_>> {
        let name = match self {
            Self::Docker => tag.to_owned(),
            Self::Buildah(_) => {
                let output = self.command(&["from", "--pull-never", tag]).stderr(Stdio::inherit()).output()?;
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }
        };
        if name.is_empty() {
            Err(Failure::new(format!("no container of {tag}")))
        } else {
            Ok(Container { tool: self, name })
        }
    }
}

/// An image to run programs from; nothing of it is left with this value.
pub(super) struct Container<'a> {
    tool: &'a Tool,
    name: String,
}

impl Container<'_> {
    /// A program of the image, with these settings, an empty `/data` and nothing else of ours, on our network.
    pub(super) fn command(&self, settings: &[(&str, String)], program: &[&str]) -> Command {
        let mut command = match self.tool {
            Tool::Docker => self.tool.command(&["run", "--rm", "--network", "host", "--read-only"]),
            Tool::Buildah(_) => self.tool.command(&["run", "--isolation", "chroot"]),
        };
        command.args(settings.iter().flat_map(|(key, value)| ["--env".to_owned(), format!("{key}={value}")]));
        // In memory: a folder of ours would have to be given to the account, which takes root.
        command.args(["--mount", "type=tmpfs,destination=/data", &self.name]);
        if let Tool::Buildah(_) = self.tool {
            command.arg("--");
        }
        command.args(program);
        command
    }

    /// Asks a program that was started here to end. Docker passes signals on; buildah kills what it runs.
    pub(super) fn terminate(&self, started: &Child) {
        let own = Pid::from_child(started);
        let program = match self.tool {
            Tool::Docker => Some(own),
            Tool::Buildah(_) => Pid::from_raw(innermost(own.as_raw_nonzero().get())),
        };
        if let Some(program) = program {
            let _ = kill_process(program, Signal::TERM);
        }
    }
}

/// Down from a process to what runs for it in the end.
fn innermost(process: i32) -> i32 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let child = children.flat_map(|line| line.split(' ').find_map(|pid| pid.parse().ok())).next();
    child.map_or(process, innermost)
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Tool::Buildah(_) = self.tool {
            let _ = self.tool.command(&["rm", &self.name]).stdout(Stdio::null()).status();
        }
    }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
