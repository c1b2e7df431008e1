//! `agis-soak`: the real programs for as long as one wants, under users, kills and outages, and what must be true of them
//! afterwards. `cargo xtask soak` builds and starts it.

mod checks;
mod client;
mod clock;
mod error;
mod games;
mod log;
mod members;
mod players;
mod problems;
mod program;
mod samples;
mod stage;
mod storms;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    client::Client,
    error::{Result, in_full},
    members::Member,
    players::{Player, Promised},
    problems::{Problems, say, step},
    samples::Samples,
    stage::Stage,
};

/// Users of REST.
const PLAYERS: i64 = 6;
/// People in Discord.
const MEMBERS: [(u64, &str); 2] = [(101, "Ann"), (102, "Ben")];

#[derive(Parser)]
pub(crate) struct Args {
    /// How long the storms last
    #[arg(long)]
    minutes: u64,
    /// The agis-api to run
    #[arg(long)]
    api: PathBuf,
    /// The agis-bot to run
    #[arg(long)]
    bot: PathBuf,
    /// A folder for logs and games, emptied first
    #[arg(long)]
    dir: PathBuf,
    /// A folder for a PostgreSQL that the machine does not have
    #[arg(long)]
    downloads: PathBuf,
    /// libfaketime
    #[arg(long)]
    clock_library: PathBuf,
    /// Repeats the order of the storms of another run
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let problems = Problems::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&args, &problems)));
    if let Err(error) = &done {
        step(&format!("error: {}", in_full(error.as_ref())));
    }
    let (kinds, report) = problems.report();
    say(&format!("{kinds} kinds of problems\n{report}"));
    if done.is_ok() && kinds == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(args: &Args, problems: &Problems) -> Result {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    fastrand::seed(seed);
    step(&format!("seed {seed}"));
    let mut stage = Stage::open(args).await?;
    let (promised, mut samples) = (Promised::default(), Samples::default());
    let until = Instant::now() + Duration::from_secs(args.minutes * 60);
    let clients = clients(&stage, problems)?;
    let mut everybody = JoinSet::new();
    for client in &clients {
        let player = Player { client: client.clone(), promised: promised.clone(), problems: problems.clone() };
        everybody.spawn(async move {
            player.settle().await;
            player.play(until).await;
        });
    }
    stage.discord.wait_for_commands().await;
    for (id, name) in MEMBERS {
        let person = stage.discord.person(id, name);
        let server = format!("{name}land");
        let member = Member {
            discord: stage.discord.clone(),
            person,
            server,
            promised: promised.clone(),
            problems: problems.clone(),
        };
        everybody.spawn(async move {
            member.chat(until).await;
            member.leave().await;
        });
    }
    storms::rage(&mut stage, until, &mut samples, problems).await?;
    step("calm");
    while let Some(ended) = everybody.join_next().await {
        if let Err(error) = ended {
            problems.found("a user of this soak that panicked", error.to_string());
        }
    }
    rest(&clients, &promised).await;
    let sql = checks::connect(&stage.cluster.url("soak")).await?;
    checks::settle(&sql, problems).await?;
    checks::judge(&sql, &promised, problems).await?;
    games::judge(&sql, &stage.data(), problems).await?;
    samples.judge(problems);
    for complaint in stage.discord.complaints().into_iter().filter(|complaint| !complaint.starts_with("late:")) {
        problems.found("what Discord does not allow", complaint);
    }
    drop(sql);
    close(stage, problems).await
}

fn clients(stage: &Stage, problems: &Problems) -> Result<Vec<Client>> {
    let client = |number: i64| {
        let user = 100_000_000_000_000_100 + number.unsigned_abs();
        // Notices to them can be delivered.
        stage.discord.person(user, &format!("player {number}"));
        Ok(Client::new(stage.addresses.clone(), stage.player(&user.to_string())?, problems.clone()))
    };
    (1..=PLAYERS).map(client).collect()
}

/// Nothing fires any more.
async fn rest(clients: &[Client], promised: &Promised) {
    for schedule in promised.schedules() {
        for client in clients {
            // The others are told that there is none.
            let path = format!("/api/v1/schedules/{schedule}");
            client.send(Method::PATCH, &path, Some(json!({ "enabled": false }))).await;
        }
    }
}

async fn close(mut stage: Stage, problems: &Problems) -> Result {
    step("ending the programs");
    stage.close(problems).await;
    let logs: Vec<_> = stage.programs().map(|program| (program.name, program.log.clone())).collect();
    for (name, path) in logs {
        log::judge(name, &path, problems)?;
    }
    Ok(())
}
