//! Reads every setting once. `docs/CONFIGURATION.md` lists them; a test compares the two.

use std::{
    env::current_exe,
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use agis_apikeys::{self as apikeys, Secret};
use agis_http_api::{Edge, LegacyPolicy, Network, Unnamed};
use agis_program::{
    Rules,
    settings::{self, seconds},
};
use agis_runtime::{ConfigErrors, Env};
use agis_servers::{
    Home,
    game::{Catalogue, RunsOn, Size},
};
use agis_storage::{DatabaseUrl, DbConfig};
use chrono::{NaiveDate, NaiveTime};

use crate::hosts;

/// Characters. Nobody guesses so many.
const LEGACY_SECRET_MIN: usize = 32;

/// Settings of `agis-api serve`.
pub(crate) struct Config {
    pub(crate) database: DbConfig,
    pub(crate) bind: IpAddr,
    pub(crate) api_port: u16,
    pub(crate) metrics_address: IpAddr,
    pub(crate) metrics_port: u16,
    pub(crate) network: Network,
    pub(crate) hosts: Vec<hosts::Config>,
    pub(crate) stop_games: bool,
    /// Maximum number of probes of players in a second, of all processes together; 0 for none.
    pub(crate) player_probes: u32,
    /// Time for which requests are still served after readiness has failed.
    pub(crate) shutdown_delay: Duration,
    pub(crate) rules: Rules,
    pub(crate) workers: usize,
    pub(crate) boot_concurrency: u32,
    pub(crate) lease: Duration,
    pub(crate) edge: Edge,
}

pub(crate) fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
    let mut env = Env::new(get);
    let homes = settings::homes(&mut env);
    let rules = Rules::read(&mut env, &homes);
    let config = Config {
        database: settings::database(&mut env),
        bind: env.or("BIND_ADDRESS", IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        api_port: env.or("API_PORT", 8080),
        metrics_address: settings::metrics_address(&mut env),
        metrics_port: env.or("METRICS_PORT", 8081),
        network: network(&mut env),
        stop_games: stop_games(&mut env, &homes),
        shutdown_delay: seconds(&mut env, "SHUTDOWN_DELAY_SECONDS", 0, 0..=300),
        workers: env.number("OPERATION_WORKERS", 16, 1..=1000) as usize,
        boot_concurrency: env.number("BOOT_CONCURRENCY", 4, 1..=1000),
        player_probes: env.number("PLAYER_PROBES_PER_SECOND", 200, 0..=10_000),
        lease: seconds(&mut env, "OPERATION_LEASE_SECONDS", 30, 2..=3600),
        edge: edge(&mut env, &rules.keys),
        rules,
        hosts: host_configs(&mut env, &homes),
    };
    env.finish().map(|()| config)
}

pub(crate) fn database_url(get: &dyn Fn(&str) -> Option<String>) -> Result<DatabaseUrl, ConfigErrors> {
    let mut env = Env::new(get);
    let url = settings::database_url(&mut env);
    env.finish().map(|()| url)
}

/// Reads the games that this installation can run.
pub(crate) fn catalogue(get: &dyn Fn(&str) -> Option<String>) -> Result<Arc<Catalogue>, ConfigErrors> {
    let mut env = Env::new(get);
    let homes = settings::homes(&mut env);
    let catalogue = settings::catalogue(&mut env, &homes);
    env.finish().map(|()| catalogue)
}

/// Reads the games, and the images of the container engine.
pub(crate) fn containers(
    get: &dyn Fn(&str) -> Option<String>,
) -> Result<(Arc<Catalogue>, Arc<agis_host_container::Images>), ConfigErrors> {
    let mut env = Env::new(get);
    let homes = settings::homes(&mut env);
    let (catalogue, engines) = (settings::catalogue(&mut env, &homes), engines(&mut env, &homes));
    let data_dir = data_dir(&mut env);
    env.finish().map(|()| (catalogue, agis_host_container::Images::of(engines, &data_dir)))
}

/// Reads the operator's settings about keys, which `agis-api keys create` obeys too.
pub(crate) fn keys_policy(get: &dyn Fn(&str) -> Option<String>) -> Result<apikeys::Policy, ConfigErrors> {
    let mut env = Env::new(get);
    let policy = settings::keys(&mut env);
    env.finish().map(|()| policy)
}

fn network(env: &mut Env<'_>) -> Network {
    Network {
        origins: env.list("CORS_ORIGINS"),
        client_timeout: seconds(env, "CLIENT_TIMEOUT_SECONDS", 15, 1..=300),
        request_timeout: seconds(env, "REQUEST_TIMEOUT_SECONDS", 30, 1..=600),
        keep_alive: seconds(env, "KEEP_ALIVE_SECONDS", 75, 1..=3600),
        connections: env.number("MAX_CONNECTIONS", 10_000, 1..=1_000_000) as usize,
        drain: seconds(env, "SHUTDOWN_DRAIN_SECONDS", 10, 0..=300),
        closing: Arc::default(),
    }
}

fn edge(env: &mut Env<'_>, keys: &apikeys::Policy) -> Edge {
    Edge {
        trusted_proxies: env.list("TRUSTED_PROXIES"),
        unnamed: Unnamed::default(),
        legacy: legacy(env, keys.default_rate_limit),
    }
}

/// Reads both settings of legacy tokens, or neither: enabled tokens must have an end.
fn legacy(env: &mut Env<'_>, rate_limit: u32) -> Option<LegacyPolicy> {
    let (secret, date) = (env.text("LEGACY_TOKENS_SECRET"), env.text("LEGACY_TOKENS_SUNSET"));
    if secret.as_deref().is_some_and(|secret| secret.len() < LEGACY_SECRET_MIN) {
        env.reject("LEGACY_TOKENS_SECRET", "…", &format!("has at least {LEGACY_SECRET_MIN} characters"));
    }
    let sunset = date.as_deref().map(str::parse::<NaiveDate>);
    match (secret, sunset) {
        (Some(secret), Some(Ok(sunset))) => {
            let sunset = sunset.and_time(NaiveTime::MIN).and_utc();
            Some(LegacyPolicy { secret: Secret::new(&secret), sunset, rate_limit })
        }
        (None, None) => None,
        (Some(_), None) => {
            env.reject(
                "LEGACY_TOKENS_SUNSET",
                "",
                "must be set with LEGACY_TOKENS_SECRET: the day on which the tokens end",
            );
            None
        }
        (_, Some(_)) => {
            let date = date.unwrap_or_default();
            env.reject(
                "LEGACY_TOKENS_SUNSET",
                &date,
                "is a date such as 2027-06-30, together with LEGACY_TOKENS_SECRET",
            );
            None
        }
    }
}

/// Reads whether a shutdown stops the games. Other processes serve a cluster's games too, so there it is refused.
fn stop_games(env: &mut Env<'_>, homes: &[Home]) -> bool {
    let stop = env.word("GAMES_ON_SHUTDOWN", &["leave", "stop"]) == "stop";
    if stop && homes.iter().any(|home| home.kind == RunsOn::Agones) {
        env.reject(
            "GAMES_ON_SHUTDOWN",
            "stop",
            "needs a host of this machine in AGIS_HOST: other processes serve a cluster's games too",
        );
    }
    stop
}

/// Reads the configuration of each host. A setting of a host that is not served is checked too.
fn host_configs(env: &mut Env<'_>, homes: &[Home]) -> Vec<hosts::Config> {
    let (machine, agones, engines) = (machine(env), agones_host(env), engines(env, homes));
    let shim = beside_this_program("agis-shim");
    let config = |home: &Home| match home.kind {
        RunsOn::Process => {
            let machine = agis_machine::Config { name: home.name.clone(), ..machine.clone() };
            hosts::Config::Process(agis_host_process::Config { machine, shim: shim.clone() })
        }
        RunsOn::Container => {
            let machine = agis_machine::Config { name: home.name.clone(), ..machine.clone() };
            let pace = agis_host_container::Pace::default();
            let (engines, shim) = (engines.clone(), shim.clone());
            hosts::Config::Container(agis_host_container::Config { machine, engines, shim, pace })
        }
        RunsOn::Agones => hosts::Config::Agones(agis_host_agones::Config { name: home.name.clone(), ..agones.clone() }),
    };
    homes.iter().map(config).collect()
}

/// Reads the address of the container engine; none for the usual sockets. Other programs of this account have the same
/// variables, so they may name any engine where AGIS has no use for one.
fn engines(env: &mut Env<'_>, homes: &[Home]) -> Vec<agis_host_container::Address> {
    let [podman, docker] = ["CONTAINER_HOST", "DOCKER_HOST"].map(|key| Some((key, env.text(key)?)));
    let is_used = homes.iter().any(|home| home.kind == RunsOn::Container);
    let Some((key, text)) = podman.or(docker).filter(|_| is_used) else { return vec![] };
    text.parse().map_err(|why: String| env.reject(key, &text, &why)).into_iter().collect()
}

fn agones_host(env: &mut Env<'_>) -> agis_host_agones::Config {
    let namespace = env.text("AGONES_NAMESPACE").unwrap_or_else(|| "agones-dev".to_owned());
    let fence_namespace = env.text("AGONES_FENCES_NAMESPACE").unwrap_or_else(|| format!("{namespace}-fences"));
    let pace = agis_host_agones::Pace::default();
    agis_host_agones::Config { name: String::new(), namespace, fence_namespace, pace }
}

/// Reads what the hosts of this machine share. Each adds its name.
fn machine(env: &mut Env<'_>) -> agis_machine::Config {
    agis_machine::Config {
        data_dir: data_dir(env),
        public_address: env.text("PUBLIC_ADDRESS").unwrap_or_else(settings::machine),
        name: String::new(),
        bind_address: env.or("GAME_BIND_ADDRESS", IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_string(),
        game_uids: game_uids(env),
        disk_reserve: size(env, "DISK_RESERVE", 512 << 20).unwrap_or_default(),
        trash_max: size(env, "TRASH_MAX", 50 << 30),
    }
}

fn data_dir(env: &mut Env<'_>) -> PathBuf {
    let path = PathBuf::from(env.text("AGIS_DATA_DIR").unwrap_or_else(|| "/var/lib/agis".to_owned()));
    if !path.is_absolute() {
        env.reject("AGIS_DATA_DIR", &path.display().to_string(), "is an absolute path");
    }
    path
}

/// Returns the path of a program that is installed with this one.
fn beside_this_program(name: &str) -> PathBuf {
    current_exe().unwrap_or_default().with_file_name(name)
}

/// Accounts of the games if `agis-api` runs as root. The default is above the ranges that systemd, distributions and
/// subordinate user ids use (systemd's UIDS-GIDS page), and so wide that no two servers meet in it.
const GAME_UIDS: RangeInclusive<u32> = 1_900_000_000..=1_999_999_999;

fn game_uids(env: &mut Env<'_>) -> RangeInclusive<u32> {
    let Some(text) = env.text("GAME_UIDS") else { return GAME_UIDS };
    let numbers =
        text.split_once('-').and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
    match numbers {
        // The last number means "no account" to the kernel.
        Some((first, last)) if 0 < first && first <= last && last < u32::MAX => first..=last,
        _ => {
            env.reject("GAME_UIDS", &text, "is a range of user ids without 0, such as 1900000000-1999999999");
            GAME_UIDS
        }
    }
}

/// Reads a size in bytes; `None` for the word `off`.
fn size(env: &mut Env<'_>, key: &str, default: u64) -> Option<u64> {
    let Some(text) = env.text(key) else { return Some(default) };
    if text == "off" {
        return None;
    }
    match text.parse::<Size>() {
        Ok(size) => Some(size.bytes()),
        Err(why) => {
            env.reject(key, &text, &why);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::*;

    #[test]
    fn exactly_the_settings_are_documented() {
        let asked = RefCell::new(BTreeSet::new());
        let get = |key: &str| {
            asked.borrow_mut().insert(key.to_owned());
            None
        };
        assert!(read(&get).is_err(), "DATABASE_URL is required");
        assert!(settings::logs(&get).is_ok());
        let text = include_str!("../../../docs/CONFIGURATION.md");
        let documented: BTreeSet<_> = text
            .split_once("## agis-bot")
            .expect("a part about the bot")
            .0
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .map(str::to_owned)
            .collect();
        assert_eq!(*asked.borrow(), documented);
    }

    #[test]
    fn game_above_the_maximum_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let games = "g = { title = 'G', command = ['g'], port = 1, cost_per_hour = 0, ready = { when = 'port' }, \
                     limits = { memory = '8GiB' } }";
        std::fs::write(file.path(), games).expect("a catalogue");
        let get = |key: &str| match key {
            "DATABASE_URL" => Some("postgres://localhost/agis".to_owned()),
            "GAMES_FILE" => Some(file.path().display().to_string()),
            "AGIS_LIMITS_MAX" => Some("{ memory = '4GiB' }".to_owned()),
            _ => None,
        };
        let errors = read(&get).err().expect("errors").0.join("\n");
        assert!(errors.contains("g.limits.memory: 8 GiB is above the maximum of this installation, 4 GiB"), "{errors}");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let get = |key: &str| match key {
            "API_PORT" => Some("high".to_owned()),
            "OPERATION_LEASE_SECONDS" => Some("0".to_owned()),
            "GAMES_FILE" => Some("/nowhere.toml".to_owned()),
            "AGIS_LIMITS_MAX" => Some("4GiB".to_owned()),
            _ => None,
        };
        let errors = read(&get).err().expect("errors").0.join("\n");
        for key in ["DATABASE_URL", "API_PORT", "OPERATION_LEASE_SECONDS", "GAMES_FILE", "AGIS_LIMITS_MAX"] {
            assert!(errors.contains(key), "{key} is not in:\n{errors}");
        }
    }
}
