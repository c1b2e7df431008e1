use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agis_local_services::postgres::Cluster;
use agis_local_services::redis::Redis;

use super::queries::Prometheus;
use crate::api::{self, Api};
use crate::build;
use crate::dev::discord::{StandIn, TOKEN, URL};
use crate::failure::Result;
use crate::program::{Program, Stop, free_port};
use crate::run::{run, step};
use crate::signals::Interrupts;
use crate::test::start_postgres;

/// The price of an hour, and the credits of the owner of three servers beside the 100 that everybody begins with: they do not
/// pay the next hour of the third.
const PRICE: u32 = 40;
const GRANT: &str = "50";

const STOP: Stop = Stop { limit: Duration::from_secs(15), killed: "" };

/// Everything that Prometheus can hear of, and a Prometheus. What needs others is ended before them.
pub(super) struct Scene<'a> {
    _prometheus: Program<'a>,
    _bot: Program<'a>,
    pub(super) api: Api<'a>,
    pub(super) discord: StandIn<'a>,
    pub(super) prometheus: Prometheus,
    _redis: Redis,
    _cluster: Cluster,
}

impl<'a> Scene<'a> {
    pub(super) fn start(out: &Path, interrupts: &'a Interrupts) -> Result<Self> {
        let (api, bot) = (build::agis_api(false, interrupts)?, build::agis_bot(false, interrupts)?);
        let stand_in = build::discord_stand_in(interrupts)?;
        Redis::install();
        let (cluster, redis) = (start_postgres()?, Redis::start()?);
        let catalogue = out.join("games.toml");
        fs::write(&catalogue, priced())?;
        let shared =
            [("REDIS_URL", redis.url().into()), ("BILLING", "on".into()), ("GAMES_FILE", catalogue.into_os_string())];
        let granter = api.clone();
        let api = Api::start("grafana", api, &cluster, &shared, interrupts)?;
        let mut grant = Command::new(granter);
        grant.env_clear().envs(api.settings()).args(["credits", "grant", "--user", api::USER]);
        run(grant.args(["--amount", GRANT, "--reason", "to be seen"]), interrupts)?;
        let discord = StandIn::start(stand_in, interrupts)?;

        step("starting agis-bot");
        let scraped = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(bot);
        command.env_clear().envs(api.settings()).env(URL, &discord.url).env(TOKEN, &discord.token);
        command.env("METRICS_PORT", scraped.rsplit(':').next().unwrap_or_default());
        command.stderr(File::create(api.dir().join("agis-bot.log"))?);
        let mut bot = Program::start("agis-bot", &mut command, STOP, interrupts)?;
        bot.wait_until_ready(&scraped)?;

        step("starting Prometheus");
        let prometheus = format!("127.0.0.1:{}", free_port()?);
        let process = start_prometheus(out, &prometheus, [api.metrics(), &scraped], interrupts)?;
        let prometheus = Prometheus(prometheus);
        Ok(Self { _prometheus: process, _bot: bot, api, discord, prometheus, _redis: redis, _cluster: cluster })
    }
}

/// The games that come with AGIS; that of the scene costs something.
fn priced() -> String {
    format!("extend = \"built-in\"\n[demo]\ncost_per_hour = {PRICE}\n")
}

/// One that scrapes each second what is else scraped each quarter of a minute, so that a minute shows enough.
fn start_prometheus<'a>(
    out: &Path,
    address: &str,
    [api, bot]: [&str; 2],
    interrupts: &'a Interrupts,
) -> Result<Program<'a>> {
    let (data, config) = (out.join("prometheus"), out.join("prometheus.yml"));
    let _ = fs::remove_dir_all(&data);
    fs::create_dir_all(&data)?;
    let job =
        |name: &str, target: &str| format!("- {{ job_name: {name}, static_configs: [{{ targets: ['{target}'] }}] }}\n");
    let jobs = job("agis-api", api) + &job("agis-bot", bot);
    fs::write(
        &config,
        format!("global: {{ scrape_interval: 1s }}\nrule_files: [alerts.yml]\nscrape_configs:\n{jobs}"),
    )?;
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", data.display()));
    command.arg(format!("--web.listen-address={address}")).stderr(File::create(out.join("prometheus.log"))?);
    Program::start("prometheus", &mut command, STOP, interrupts)
}
