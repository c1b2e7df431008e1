//! `cargo xtask image`: the programs as an image on an empty base.

mod probe;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tool::Tool;

use crate::build;
use crate::failure::{Failure, Result};
use crate::run::{answer, cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::state;

const PROGRAMS: [&str; 3] = ["agis-api", "agis-shim", "agis-bot"];
const CONTAINERFILE: &str = "k8s/image/Containerfile";
/// Both stand in every binary of this target: programs that need nothing of the system, and ones that do.
const STATIC: &str = "-C target-feature=+crt-static";

/// Build the image: agis-api, agis-shim and agis-bot, static, on an empty base, for an account that is not root
///
/// Docker builds it where its engine runs, else buildah, which is installed where the system's packages bring it. Without
/// --release the programs are those of a plain build: good for a try.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its name; `localhost/agis:<version>` if this is not given
    #[arg(long)]
    tag: Option<String>,
    /// Optimise the programs, as they are shipped; takes some eight minutes the first time
    #[arg(long)]
    release: bool,
    /// Also write it into this file, as an OCI archive (buildah) or as docker saves it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Start it on a private database and see that it serves
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    let tool = Tool::find(&state::target()?.join("image"))?;
    let programs = build(args.release, interrupts)?;
    let context = state::target()?.join("image/context");
    let _ = fs::remove_dir_all(&context);
    fs::create_dir_all(&context)?;
    for program in &programs {
        must_be_static(program)?;
        fs::copy(program, context.join(program.file_name().unwrap_or_default()))?;
    }
    let tag = args.tag.clone().unwrap_or_else(|| format!("localhost/agis:{}", env!("CARGO_PKG_VERSION")));
    step(format_args!("building {tag} with {}", tool.name()));
    run_command(&mut tool.build(&tag, &labels(), Path::new(CONTAINERFILE), &context), interrupts)?;
    tool.forget_nameless();
    if let Some(file) = &args.output {
        run_command(&mut tool.save(&tag, file), interrupts)?;
    }
    if args.check {
        probe::run(&tool, &tag, interrupts)?;
    }
    answer(format_args!("{tag}: {}", tool.size(&tag)?));
    Ok(())
}

/// Builds static programs. Cargo applies the flags to a named target alone, and not to what runs while building. `.ci/run`
/// sets the same two variables, so the programs are those that the tests ran.
fn build(release: bool, interrupts: &Interrupts) -> Result<Vec<PathBuf>> {
    step("building static programs");
    let mut build = cargo();
    build.args(build::selection(&PROGRAMS, release));
    run_command(build.env("CARGO_BUILD_TARGET", state::triple()).env("RUSTFLAGS", STATIC), interrupts)?;
    let folder = state::target()?.join(state::triple()).join(if release { "release" } else { "debug" });
    Ok(PROGRAMS.iter().map(|program| folder.join(program)).collect())
}

/// Returns the labels of the image. It names a commit only where git knows it.
fn labels() -> Vec<(&'static str, String)> {
    let mut labels = vec![
        ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE").to_owned()),
    ];
    let commit =
        Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]).output();
    if let Some(commit) = commit.ok().filter(|output| output.status.success()) {
        labels.push(("org.opencontainers.image.revision", String::from_utf8_lossy(&commit.stdout).trim().to_owned()));
    }
    labels
}

/// On an empty base nothing could load what a program asks for. Libraries are asked for by the loader alone.
fn must_be_static(program: &Path) -> Result {
    match interpreter(&fs::read(program)?) {
        Some(false) => Ok(()),
        Some(true) => Err(Failure::new(format!("{} is not static: it asks for a loader", program.display()))),
        None => Err(Failure::new(format!("{} is no program of 64 bits", program.display()))),
    }
}

/// Returns whether an ELF file of 64 bits, little endian, has a program header of the kind PT_INTERP (elf(5)).
fn interpreter(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, bytes: usize| {
        let slice = elf.get(at..at.checked_add(bytes)?)?;
        Some(slice.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let kinds = (0..count).map(|entry| number(usize::try_from(table + entry * size).ok()?, 4));
    Some(kinds.collect::<Option<Vec<_>>>()?.contains(&PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::interpreter;

    #[test]
    fn program_that_needs_a_loader_is_found() {
        let own = std::fs::read("/bin/sh").expect("the shell");
        assert_eq!(interpreter(&own), Some(true), "the system's programs need a loader");
        let at = own.windows(4).position(|bytes| bytes == [3, 0, 0, 0]).expect("PT_INTERP");
        let mut without = own.clone();
        without[at] = 0;
        assert_eq!(interpreter(&without), Some(false));
        assert_eq!(interpreter(b"#!/bin/sh"), None);
        assert_eq!(interpreter(&own[..60]), None);
    }
}
