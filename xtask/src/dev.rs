//! `cargo xtask dev`: AGIS on this machine, from nothing to a running API.

mod api;
mod containers;
pub(crate) mod discord;
mod settings;
mod summary;

use std::time::Duration;

use agis_local_services::redis::Redis;
use api::Api;
use containers::Containers;
use discord::Discord;
use settings::Settings;

use crate::build;
use crate::database::{DevDatabase, given};
use crate::dev_env::DevEnv;
use crate::failure::{Failure, Result};
use crate::run::step;
use crate::signals::Interrupts;
use crate::state::{State, make_enterable};

/// Bring AGIS up on this machine and keep it running until Ctrl-C
///
/// Finds or fetches PostgreSQL, runs a private one, migrates it, starts agis-api and makes an API key. Address and
/// key are printed, and written to .agis/dev.env for a shell to source, or to dev.env in AGIS_STATE_DIR. The data is kept
/// for the next time.
///
/// With --discord the bot runs too, against a stand-in for Discord with a page to type commands on; with DISCORD_TOKEN
/// in the environment it runs against Discord itself. With --containers games run as containers too, in a private Podman
/// that goes at the end with its images. With --redis limits are counted in a private Redis, which forgets
/// them at the end; with REDIS_URL in the environment, in that one.
///
/// Environment: API_PORT (8080), METRICS_PORT (8081), BOT_METRICS_PORT (8082), BIND_ADDRESS and METRICS_ADDRESS
/// (127.0.0.1), AGIS_STATE_DIR (.agis), DATABASE_URL (a PostgreSQL of your own), PG_BIN_DIR (where initdb and postgres are).
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Throw away the database and the games of earlier runs first
    #[arg(long)]
    fresh: bool,
    /// Build and run the optimised programs
    #[arg(long)]
    release: bool,
    /// Run the bot against a stand-in for Discord, with a page to try it on and no account
    #[arg(long)]
    discord: bool,
    /// Run games as containers too, in a private Podman, or in the engine that CONTAINER_HOST or DOCKER_HOST names. Needs root
    #[arg(long)]
    containers: bool,
    /// Count limits in a private Redis
    #[arg(long)]
    redis: bool,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    let settings = Settings::from_env()?;
    let state = State::locate()?;
    let lock = state.lock()?;
    step(format_args!("state in {}", state.dir().display()));
    settings.check_ports(discord::is_wanted(args.discord))?;
    if args.fresh {
        wipe(&state)?;
    }
    let program = build::agis_api(args.release, interrupts)?;
    let built = discord::build(args.discord, args.release, interrupts)?;
    let database = DevDatabase::start(&state, lock)?;
    if !database.is_private() {
        step("using the PostgreSQL of DATABASE_URL");
    }
    make_enterable(&state.data())?;

    let containers = args.containers.then(|| Containers::start(&program, &state)).transpose()?;
    let redis = args.redis.then(start_redis).transpose()?;
    let mut environment = api::environment(&settings, &database, &state);
    environment.extend(redis.as_ref().map(|redis| ("REDIS_URL", redis.url().into())));
    environment.extend(containers.iter().flat_map(|it| it.environment.iter().cloned()));
    let mut api = Api::new(program, &settings, &environment, interrupts);
    step("migrating the database");
    api.run(&["migrate", "up"])?;
    step("starting agis-api");
    api.start()?;
    let dev_env = DevEnv {
        path: state.dev_env(),
        api_url: format!("http://{}", settings.api()),
        metrics_url: format!("http://{}", settings.metrics()),
        api_key: api.working_key(DevEnv::read(&state, "AGIS_API_KEY"))?,
        database_url: database.url().to_owned(),
        database_is_private: database.is_private(),
    };
    dev_env.write()?;
    let mut discord = built.map(|built| built.start(&settings, &environment, interrupts)).transpose()?;
    summary::print(&dev_env, discord.as_ref().and_then(Discord::page));

    while interrupts.wait(Duration::from_millis(200)).is_none() {
        api.check_alive()?;
        discord.as_mut().map_or(Ok(()), Discord::check_alive)?;
    }
    if discord.take().is_some() {
        step("stopped agis-bot");
    }
    step("stopping agis-api and its game servers (Ctrl-C again kills)");
    drop(api);
    if containers.is_some() {
        step("stopping the container engine of this run");
    }
    drop(containers);
    if redis.is_some() {
        step("stopping Redis");
    }
    drop(redis);
    if database.is_private() {
        step("stopping PostgreSQL");
    }
    drop(database);
    step("stopped");
    Ok(())
}

fn start_redis() -> Result<Redis> {
    Redis::install();
    let redis = Redis::start()?;
    step(format_args!("limits are counted in a Redis of this run, {}", redis.url()));
    Ok(redis)
}

fn wipe(state: &State) -> Result {
    if given().is_some() {
        return Err(Failure::new(
            "--fresh throws away the private database only, and DATABASE_URL names another one. Unset DATABASE_URL, or \
             leave --fresh out.",
        ));
    }
    step("throwing away the database and the games of earlier runs");
    state.wipe()
}
