mod clock;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agis_local_services::engine::Make;
use agis_local_services::postgres::{Cluster, Options};

use self::clock::Clock;
pub(crate) use self::clock::libraries as clock_libraries;
use crate::build;
use crate::failure::{Failure, Result};
use crate::python;
use crate::run::{cargo, has_cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::state::State;

/// cargo-nextest's number of tests at a time. Most tests wait for most of their time, so it is twice that of the processors.
const THREADS: &str = "NEXTEST_TEST_THREADS";
/// Packages of games that tests start, each with a program of its own in `/usr/games`.
const GAMES: [(&str, &str); 5] = [
    ("openttd", "openttd"),
    ("openttd-opengfx", "openttd"),
    ("bzflag-server", "bzfs"),
    ("minetest-server", "minetestserver"),
    ("teeworlds-server", "teeworlds-server"),
];
/// Game whose data are 420 MB.
const LARGE_GAME: (&str, &str) = ("openarena-server", "openarena-server");
/// IANA's 2026f.
const ZONES: &str = "tzdata==2026.6";

/// Run the tests, with a PostgreSQL brought up for them and thrown away afterwards
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test host-agones on the cluster that KUBECONFIG names instead of on the stand-in. The cluster has Agones. The tests use
    /// the namespace of the context, and the one of that name with -fences. AGIS_TEST_GAME_IMAGE names a game that tells Agones'
    /// SDK when it is ready; the default is Agones' own example
    #[arg(long)]
    agones: bool,
    /// Test host-container on each engine, Podman and Docker. Needs root; installs the engines where they are missing. The usual
    /// run has Podman alone
    #[arg(long, conflicts_with_all = ["agones", "clocks"])]
    engines: bool,
    /// Run the tests with the clock moved, by libfaketime: days from now as in +400d, a day as in 2028-02-29, or zone-change
    /// (one hour before the next change of the machine's zone). Several clocks give one run each
    #[arg(long = "clock", value_name = "WHEN", conflicts_with = "agones")]
    clocks: Vec<Clock>,
    /// Install OpenArena too, with 420 MB of data, for the test of the games that Debian packages
    #[arg(long)]
    games: bool,
    /// Passed on to the test runner (cargo-nextest where it is installed, else cargo test), such as a filter or
    /// `-p agis-scheduler`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    if args.games {
        provide_games(&[LARGE_GAME]);
    }
    if args.engines {
        return on_engines(&args.args, interrupts);
    }
    match (args.agones, &*args.clocks) {
        (true, _) => on_cluster(&args.args, interrupts),
        (false, []) => all(&args.args, interrupts),
        (false, clocks) => on_clocks(clocks, &args.args, interrupts),
    }
}

/// Runs the tests once on each clock, all of them, and fails if one run does.
fn on_clocks(clocks: &[Clock], args: &[String], interrupts: &Interrupts) -> Result {
    let mut failed = vec![];
    for clock in clocks {
        step(format_args!("with the clock {clock}"));
        match on_clock(args, &clock.environment()?, interrupts) {
            Ok(()) => {}
            Err(Failure::Status(_)) => failed.push(clock.to_string()),
            Err(other) => return Err(other),
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("tests failed with the clock {}", failed.join(", "))))
    }
}

fn on_cluster(args: &[String], interrupts: &Interrupts) -> Result {
    let Some(kubeconfig) = std::env::var_os("KUBECONFIG") else {
        return Err(Failure::new(
            "no cluster is named: set KUBECONFIG to a file whose current context has a namespace for tests",
        ));
    };
    step(format_args!("running the tests of host-agones on the cluster of {}", kubeconfig.display()));
    let mut tests = runner();
    tests.args(["--package", "agis-host-agones", "--test", "agones"]).args(args);
    run_command(tests.env("AGIS_TEST_KUBECONFIG", kubeconfig), interrupts)
}

fn on_engines(args: &[String], interrupts: &Interrupts) -> Result {
    build::everything(interrupts)?;
    for make in Make::ALL {
        step(format_args!("running the tests of host-container on {}", make.as_str()));
        make.install();
        let mut tests = runner();
        tests.args(["--package", "agis-host-container", "--test", "host"]).args(args);
        run_command(tests.env("AGIS_TEST_ENGINE", make.as_str()), interrupts)?;
    }
    Ok(())
}

fn runner() -> Command {
    let mut tests = cargo();
    if has_cargo("nextest") {
        tests.args(["nextest", "run"]);
    } else {
        tests.args(["test", "--tests"]);
    }
    tests
}

/// Runs the tests that `args` select: all of the workspace's unless they name packages.
pub(crate) fn all(args: &[String], interrupts: &Interrupts) -> Result {
    on_clock(args, &[], interrupts)
}

/// `clock` are variables that the tests and PostgreSQL get; programs that tests start have them from the tests.
fn on_clock(args: &[String], clock: &[(&'static str, OsString)], interrupts: &Interrupts) -> Result {
    provide(&["bash", "curl", "jq", "python3", "redis-server"])?;
    let cluster = postgres_with(clock)?;
    let scope = (!names_packages(args)).then_some("--workspace");
    if scope.is_some() {
        // Tests run programs of other packages too, which the runner would not build for them.
        build::everything(interrupts)?;
        provide_games(&GAMES);
    }
    let zones = newest_zones(interrupts);
    step("running tests");
    let mut tests = runner();
    if !clock.is_empty() {
        // Cargo stays on the machine's clock: it compares times of files.
        tests.env(runner_variable()?, in_environment(clock));
    }
    if let Some(zones) = zones {
        tests.env("AGIS_TEST_TZDATA", zones);
    }
    if std::env::var_os(THREADS).is_none() {
        tests.env(THREADS, (2 * std::thread::available_parallelism()?.get()).to_string());
    }
    run_command(with_postgres(tests.args(scope).args(args), &cluster), interrupts)
}

/// Returns cargo's variable for the program that runs what was built for this machine.
fn runner_variable() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::new("rustc does not say which machine this is: rustc -vV"))?;
    Ok(format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace('-', "_")))
}

/// Returns the beginning of a command line that runs another with these variables.
fn in_environment(variables: &[(&'static str, OsString)]) -> OsString {
    let mut line = OsString::from("env");
    for (name, value) in variables {
        line.push(" ");
        line.push(name);
        line.push("=");
        line.push(value);
    }
    line
}

/// Returns the newest time zone data, from PyPI: the machine's may be older. Without it the tests use the machine's data and the
/// data in the programs.
fn newest_zones(interrupts: &Interrupts) -> Option<PathBuf> {
    let installed = python::install(&[ZONES], interrupts);
    let Ok(programs) = installed else {
        step("going on without the newest time zone data");
        return None;
    };
    let libraries = std::fs::read_dir(programs.parent()?.join("lib")).ok()?;
    let folders = libraries.filter_map(|python| Some(python.ok()?.path().join("site-packages/tzdata/zoneinfo")));
    folders.into_iter().find(|folder| folder.is_dir())
}

/// Installs the programs of the guides and of the tests that are missing; each has the name of its package.
pub(crate) fn provide(programs: &[&str]) -> Result {
    let missing = || -> Vec<_> { programs.iter().copied().filter(|program| !is_there(program)).collect() };
    let wanted = missing();
    if !wanted.is_empty() {
        agis_local_services::apt::install(&wanted);
    }
    match missing().join(" ") {
        none if none.is_empty() => Ok(()),
        still => Err(Failure::new(format!("this needs {still}: apt-get install {still}"))),
    }
}

/// Installs games that are missing. Without them their test says what it did not try.
fn provide_games(games: &[(&'static str, &str)]) {
    let is_missing = |program: &str| !Path::new("/usr/games").join(program).exists();
    let wanted: Vec<_> = games.iter().filter(|(_, program)| is_missing(program)).map(|(package, _)| *package).collect();
    if !wanted.is_empty() {
        agis_local_services::apt::install(&wanted);
    }
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Starts a throw-away PostgreSQL, which is stopped and removed with the value.
pub(crate) fn start_postgres() -> Result<Cluster> {
    postgres_with(&[])
}

fn postgres_with(env: &[(&'static str, OsString)]) -> Result<Cluster> {
    step("starting PostgreSQL");
    let downloads = State::locate()?.downloads();
    Ok(Cluster::start(Options::throwaway().fetch_into(downloads).max_connections(300).env(env.to_vec()))?)
}

/// Tells the tests about the server and its programs, and nothing about the caller's own database.
pub(crate) fn with_postgres<'a>(tests: &'a mut Command, cluster: &Cluster) -> &'a mut Command {
    tests
        .env("AGIS_TEST_DATABASE_URL", cluster.url("postgres"))
        .env("PG_BIN_DIR", cluster.bin_dir())
        .env_remove("DATABASE_URL")
}

fn names_packages(args: &[String]) -> bool {
    let ours = args.iter().take_while(|arg| *arg != "--");
    ours.into_iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use super::names_packages;

    #[test]
    fn package_narrows_the_scope_filter_does_not() {
        let given = |args: &[&str]| names_packages(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(given(&["-p", "agis-base"]) && given(&["--package=agis-base"]));
        assert!(!given(&["restart"]) && !given(&["restart", "--", "-p"]));
    }
}
