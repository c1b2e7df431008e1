//! Grafana's own schema, as TypeScript has it: the compiler finds unknown fields and wrong kinds.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::dashboards::Dashboard;
use crate::failure::Result;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;
use crate::state;

/// The packages that know the form of a dashboard.
const PACKAGES: [&str; 2] = ["@grafana/schema@12.4.11", "typescript@7.0.2"];
const TYPES: &str = include_str!("schema.ts");
/// The compiler describes a wrong kind over thousands of characters.
const LINE: usize = 300;

/// Returns where npm has put the packages, or nothing where there is no npm.
pub(super) fn install(interrupts: &Interrupts) -> Result<Option<PathBuf>> {
    let dir = state::target()?.join("tools").join(PACKAGES.join("-").replace('/', "-"));
    if dir.join("complete").exists() {
        return Ok(Some(dir));
    }
    if !has_npm() {
        step("there is no npm here: the dashboards are not checked by Grafana's own schema");
        return Ok(None);
    }
    step(format_args!("installing {} into {}", PACKAGES.join(", "), dir.display()));
    fs::create_dir_all(&dir)?;
    let mut npm = Command::new("npm");
    npm.arg("--prefix").arg(&dir).args(["install", "--silent", "--no-audit", "--no-fund"]).args(PACKAGES);
    run_command(&mut npm, interrupts)?;
    fs::write(dir.join("complete"), "")?;
    Ok(Some(dir))
}

fn has_npm() -> bool {
    let mut probe = Command::new("npm");
    probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Returns what the compiler says of the dashboards.
pub(super) fn faults(dashboards: &[Dashboard], packages: &Path, out: &Path) -> Result<Vec<String>> {
    let dir = out.join("schema");
    let modules = dir.join("node_modules");
    fs::create_dir_all(&dir)?;
    let _ = fs::remove_file(&modules);
    symlink(packages.join("node_modules"), &modules)?;
    fs::write(dir.join("schema.ts"), TYPES)?;
    for Dashboard { name, json } in dashboards {
        let whole = format!("import type {{ Whole }} from './schema';\nexport const dashboard: Whole = {json:#};\n");
        fs::write(dir.join(format!("{name}.ts")), whole)?;
    }
    let mut compiler = Command::new(modules.join(".bin/tsc"));
    compiler.args(["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"]);
    compiler.args(["--moduleResolution", "bundler", "--module", "esnext"]);
    compiler.args(dashboards.iter().map(|dashboard| format!("{}.ts", dashboard.name)));
    let output = compiler.current_dir(&dir).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(vec![]);
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // The compiler says over many lines which kinds there are.
    let errors = said.lines().filter(|line| line.contains(": error "));
    let errors: Vec<_> = errors.map(|line| line.chars().take(LINE).collect()).collect();
    Ok(if errors.is_empty() { vec![format!("tsc: {}{said}", output.status)] } else { errors })
}
