//! `agis-bench`: how fast agis-api is, next to the same work done bare, all in one run. `cargo xtask bench` starts it
//! with a database of its own; docs/BENCHMARKS.md says what is measured and how.

mod api;
mod baseline;
mod data;
mod due;
mod error;
mod http;
mod limiter;
mod load;
mod process;
mod report;
mod starts;

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use crate::{
    api::{CONNECTIONS, Server},
    data::Size,
    error::{Error, Result},
    http::Stage,
    load::Load,
    report::{Report, say, step},
    starts::Count,
};

/// The most memory that agis-api may hold before anybody has asked it for anything.
const REST_MIB: f64 = 40.0;
/// Until the loops of agis-api have all been round once.
const REST: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure everything
    Run(Box<Run>),
    /// Serve the baselines
    Baseline {
        #[arg(long)]
        database: String,
    },
}

#[derive(clap::Args)]
struct Run {
    /// An empty database, to be filled, for http, rate and due
    #[arg(long)]
    database: Option<String>,
    /// The same database over TLS, if that is to be measured
    #[arg(long)]
    tls_database: Option<String>,
    /// The agis-api to measure
    #[arg(long)]
    api: PathBuf,
    #[arg(long, default_value = "wrk")]
    wrk: PathBuf,
    #[arg(long, default_value = "oha")]
    oha: PathBuf,
    /// A folder for files
    #[arg(long)]
    dir: PathBuf,
    /// The folder of the games
    #[arg(long)]
    data_dir: PathBuf,
    /// A Redis to count limits in, if they are to be measured
    #[arg(long)]
    redis: Option<String>,
    /// Write the results as JSON to this file
    #[arg(long)]
    out: PathBuf,
    /// Little data, short rounds: to see that it works
    #[arg(long)]
    quick: bool,
    /// Measure these alone
    #[arg(long, value_delimiter = ',', default_value = "http,rate,due,limiter,starts")]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let done =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into).and_then(|runtime| {
            runtime.block_on(async {
                match Cli::parse().command {
                    Command::Run(args) => run(&args).await,
                    Command::Baseline { database } => baseline::serve(&database, CONNECTIONS).await,
                }
            })
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Run) -> Result {
    let mut report = Report { quick: args.quick, ..Report::default() };
    report.cores = std::thread::available_parallelism()?.get();
    let wanted = |part: &str| args.only.iter().any(|only| only == part);
    if wanted("limiter") {
        limiter::compare(if args.quick { 200_000 } else { 3_000_000 }, &mut report);
        if let Some(url) = &args.redis {
            limiter::over_redis(url, if args.quick { 5_000 } else { 100_000 }, &mut report).await?;
        }
    }
    if ["http", "rate", "due"].into_iter().any(wanted) {
        let database = args.database.as_deref().ok_or_else(|| Error::new("--database is missing"))?;
        served(args, database, &wanted, &mut report).await?;
    }
    if wanted("starts") {
        let count = if args.quick { Count { alone: 3, swarm: 30 } } else { Count { alone: 30, swarm: 300 } };
        starts::measure(&args.api, &args.data_dir.join("starts"), count, &mut report).await?;
    }
    report.write(&args.out)?;
    say(&report.table());
    Ok(())
}

async fn served(args: &Run, database: &str, wanted: &impl Fn(&str) -> bool, report: &mut Report) -> Result {
    let size = match args.quick {
        false => Size { users: 10_000, servers: 20_000, schedules: 1_000_000, due: 10_000 },
        true => Size { users: 1000, servers: 2000, schedules: 20_000, due: 1000 },
    };
    fs::create_dir_all(&args.dir)?;
    api::migrate(&args.api, database, &args.data_dir)?;
    step(&format!("{} users, {} servers, {} schedules", size.users, size.servers, size.schedules));
    let sql = data::connect(database).await?;
    data::fill(&sql, size).await?;
    data::write_keys(&sql, size, &args.dir).await?;
    let backend: i32 = sql.query_one("select pg_backend_pid()", &[]).await?.get(0);

    let server = Server::api(&args.api, database, &args.data_dir)?;
    tokio::time::sleep(REST).await;
    report.at_most("memory at rest", process::rss_mib(server.pid())?, REST_MIB, "MiB");
    if wanted("http") || wanted("rate") {
        let baseline = Server::baseline(database)?;
        let postmaster = process::parent(backend.unsigned_abs())?;
        let over_tls = args.tls_database.as_ref().map(|url| Server::api(&args.api, url, &args.data_dir)).transpose()?;
        let stage =
            Stage { api: &server, over_tls: over_tls.as_ref(), baseline: &baseline, postmaster, keys: &args.dir };
        let script = args.dir.join("requests.lua");
        fs::write(&script, load::SCRIPT)?;
        let seconds = if args.quick { 1 } else { 3 };
        let load = Load { wrk: args.wrk.clone(), oha: args.oha.clone(), script, seconds, connections: 64 };
        let rounds = if args.quick { 1 } else { 5 };
        if wanted("http") {
            stage.full_load(&load, rounds, report)?;
            report.value("memory after full load", process::rss_mib(server.pid())?, "MiB");
        }
        if wanted("rate") {
            stage.constant_rate(&load, if args.quick { 1 } else { 3 }, report)?;
        }
    }
    if wanted("due") {
        due::swarm(&sql, size, report).await?;
        due::lone(&sql, size, if args.quick { 10 } else { 100 }, report).await?;
    }
    Ok(())
}
