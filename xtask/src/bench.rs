use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use agis_local_services::certificates::{Authority, ServerTls};
use agis_local_services::postgres::{Cluster, Options};
use agis_local_services::redis::Redis;

use crate::failure::{Failure, Result};
use crate::run::{cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::state::{self, State, make_enterable};

/// The load generator for constant rates; it is installed among cargo's output, not into the home directory.
const OHA: &str = "1.16.0";

/// Measure how fast agis-api is, next to the same work done bare
///
/// Builds everything optimised, runs a private PostgreSQL that writes through to the disk, fills it, and measures
/// agis-api and baselines in turns. The table goes to the screen, the numbers to target/bench.json;
/// docs/BENCHMARKS.md says what they mean. Needs wrk (`apt-get install wrk`). For `rate`, oha is built where it is missing.
/// Limits over Redis are measured where redis-server is installed.
/// `limiter` and `starts` alone need neither wrk nor PostgreSQL.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Little data and short rounds: a minute or two, to see that it works
    #[arg(long)]
    quick: bool,
    /// Measure these alone: http, rate, due, limiter, starts
    #[arg(long, value_name = "PARTS")]
    only: Option<String>,
}

impl Args {
    fn measures(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|parts| parts.split(',').any(|only| only == part))
    }
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    let target = state::target()?;
    let is_served = ["http", "rate", "due"].into_iter().any(|part| args.measures(part));
    let wrk = is_served.then(wrk).transpose()?;
    let oha = args.measures("rate").then(|| oha(&target.join("tools"), interrupts)).transpose()?;
    step("building agis-api, agis-shim and agis-bench, optimised");
    let packages = ["build", "--release", "--package", "agis-api", "--package", "agis-shim", "--package", "agis-bench"];
    run_command(cargo().args(packages), interrupts)?;

    let state = State::locate()?;
    let place = Place::new(state.dir().join(format!("bench-{}", std::process::id())))?;
    let database = is_served.then(|| Database::start(&place, &state)).transpose()?;
    let redis = args.measures("limiter").then(redis).transpose()?.flatten();
    let programs = target.join("release");
    let mut bench = std::process::Command::new(programs.join("agis-bench"));
    bench.arg("run");
    for (flag, path) in [
        ("--api", programs.join("agis-api")),
        ("--dir", place.0.join("files")),
        ("--data-dir", place.0.join("data")),
        ("--out", target.join("bench.json")),
    ] {
        bench.arg(flag).arg(path);
    }
    bench.args(database.iter().flat_map(Database::arguments));
    bench.args(wrk.iter().flat_map(|wrk| [OsStr::new("--wrk"), wrk.as_os_str()]));
    bench.args(oha.iter().flat_map(|oha| [OsStr::new("--oha"), oha.as_os_str()]));
    bench.args(redis.iter().flat_map(|redis| ["--redis".to_owned(), redis.url()]));
    bench.args(args.quick.then_some("--quick"));
    bench.args(args.only.iter().flat_map(|parts| ["--only", parts]));
    let done = run_command(&mut bench, interrupts);
    drop(database);
    done
}

/// A private PostgreSQL that writes through to the disk.
struct Database {
    cluster: Cluster,
    ca_file: PathBuf,
}

impl Database {
    fn start(place: &Place, state: &State) -> Result<Self> {
        step("starting PostgreSQL");
        let ca = Authority::new("agis bench")?;
        let tls = ServerTls { shown: ca.server(&["localhost"])?, clients: None };
        let options = Options::durable(place.0.join("postgres")).fetch_into(state.downloads()).tls(tls);
        let cluster = Cluster::start(options)?;
        cluster.create_database("bench")?;
        let ca_file = place.0.join("ca.crt");
        fs::write(&ca_file, ca.certificate())?;
        Ok(Self { cluster, ca_file })
    }

    fn arguments(&self) -> [String; 4] {
        let url = self.cluster.url("bench");
        let over_tls = format!("{url}?sslmode=verify-ca&sslrootcert={}", self.ca_file.display());
        ["--database".to_owned(), url, "--tls-database".to_owned(), over_tls]
    }
}

fn wrk() -> Result<PathBuf> {
    find("wrk", &[]).ok_or_else(|| {
        Failure::new("wrk makes the load and is not installed: `apt-get install wrk` (or `brew install wrk`)")
    })
}

fn redis() -> Result<Option<Redis>> {
    if !Redis::is_installed() {
        step("no redis-server (`apt-get install redis-server`): limits over Redis are not measured");
        return Ok(None);
    }
    step("starting Redis");
    Ok(Some(Redis::start()?))
}

fn oha(tools: &Path, interrupts: &Interrupts) -> Result<PathBuf> {
    let installed = tools.join("bin");
    if let Some(oha) = find("oha", &[&installed]) {
        return Ok(oha);
    }
    step("installing oha, which makes load at a constant rate");
    let mut install = cargo();
    install.args(["install", "oha", "--version", OHA, "--locked", "--root"]).arg(tools);
    run_command(&mut install, interrupts)?;
    Ok(installed.join("oha"))
}

fn find(program: &str, first: &[&Path]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = first.iter().map(|dir| dir.to_path_buf()).chain(env::split_paths(&path));
    dirs.map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// A folder that is removed with this value.
struct Place(PathBuf);

impl Place {
    fn new(dir: PathBuf) -> Result<Self> {
        make_enterable(&dir)?;
        let place = Self(dir);
        make_enterable(&place.0.join("data"))?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Cluster::remove(self.0.join("postgres"));
        let _ = fs::remove_dir_all(&self.0);
    }
}
