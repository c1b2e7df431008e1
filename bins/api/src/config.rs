//! Every setting, read once. `docs/CONFIGURATION.md` lists them; a test holds the two together.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use agis_apikeys::{self as apikeys, Secret};
use agis_http_api::{Edge, LegacyPolicy, Network};
use agis_runtime::{ConfigErrors, Env, telemetry::LogFormat};
use agis_servers::{self as servers, game};
use agis_storage::DbConfig;
use chrono::{NaiveDate, NaiveTime};

/// Nobody guesses so many.
const LEGACY_SECRET_MIN: usize = 32;

/// Settings of `agis-api serve`.
pub(crate) struct Config {
    pub(crate) database: DbConfig,
    pub(crate) bind: IpAddr,
    pub(crate) api_port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) network: Network,
    pub(crate) host: agis_host_process::Config,
    pub(crate) stop_games: bool,
    pub(crate) catalogue: Arc<game::Catalogue>,
    pub(crate) workers: usize,
    pub(crate) lease: Duration,
    pub(crate) servers: servers::Policy,
    pub(crate) schedules_per_server: u32,
    pub(crate) keys: apikeys::Policy,
    pub(crate) buckets: usize,
    pub(crate) edge: Edge,
}

/// Settings of the logs, which are needed before everything else can be told.
pub(crate) struct Logs {
    pub(crate) format: LogFormat,
    pub(crate) filter: String,
}

/// The process's environment.
pub(crate) fn environment(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

pub(crate) fn logs(get: &dyn Fn(&str) -> Option<String>) -> Result<Logs, ConfigErrors> {
    let mut env = Env::new(get);
    let format = match env.word("LOG_FORMAT", &["auto", "json", "pretty"]) {
        "json" => LogFormat::Json,
        "pretty" => LogFormat::Pretty,
        _ => LogFormat::of_terminal(),
    };
    let filter = env.text("RUST_LOG").unwrap_or_else(|| "info,actix_server=warn".to_owned());
    env.finish().map(|()| Logs { format, filter })
}

pub(crate) fn database_url(get: &dyn Fn(&str) -> Option<String>) -> Result<String, ConfigErrors> {
    let mut env = Env::new(get);
    let url = required_url(&mut env);
    env.finish().map(|()| url)
}

fn required_url(env: &mut Env<'_>) -> String {
    env.required("DATABASE_URL", "postgres://user:password@localhost:5432/agis")
}

pub(crate) fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
    let mut env = Env::new(get);
    let host = host(&mut env);
    let keys = keys(&mut env);
    let config = Config {
        database: DbConfig {
            url: required_url(&mut env),
            connections: env.number("DATABASE_CONNECTIONS", 10, 2..=1000) as usize,
        },
        bind: env.or("BIND_ADDRESS", IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        api_port: env.or("API_PORT", 8080),
        metrics_port: env.or("METRICS_PORT", 8081),
        network: network(&mut env),
        stop_games: env.word("GAMES_ON_SHUTDOWN", &["leave", "stop"]) == "stop",
        catalogue: catalogue(&mut env),
        workers: env.number("OPERATION_WORKERS", 16, 1..=1000) as usize,
        lease: seconds(&mut env, "OPERATION_LEASE_SECONDS", 30, 2..=3600),
        servers: servers::Policy {
            host: host.name.clone(),
            servers_per_user: env.number("SERVERS_PER_USER", 20, 1..=100_000),
        },
        schedules_per_server: env.number("SCHEDULES_PER_SERVER", 50, 1..=100_000),
        edge: edge(&mut env, &keys),
        keys,
        buckets: env.number("RATE_LIMIT_BUCKETS", 100_000, 64..=100_000_000) as usize,
        host,
    };
    env.finish().map(|()| config)
}

/// What an operator decides about keys; `agis-api keys create` obeys it as well.
pub(crate) fn keys_policy(get: &dyn Fn(&str) -> Option<String>) -> Result<apikeys::Policy, ConfigErrors> {
    let mut env = Env::new(get);
    let policy = keys(&mut env);
    env.finish().map(|()| policy)
}

fn keys(env: &mut Env<'_>) -> apikeys::Policy {
    let max_rate_limit = env.number("MAX_RATE_LIMIT", 10_000, 1..=3_600_000);
    apikeys::Policy {
        keys_per_user: env.number("KEYS_PER_USER", 25, 1..=100_000),
        default_rate_limit: env.number("DEFAULT_RATE_LIMIT", 100.min(max_rate_limit), 1..=max_rate_limit),
        max_rate_limit,
    }
}

fn network(env: &mut Env<'_>) -> Network {
    Network {
        origins: env.list("CORS_ORIGINS"),
        client_timeout: seconds(env, "CLIENT_TIMEOUT_SECONDS", 15, 1..=300),
        request_timeout: seconds(env, "REQUEST_TIMEOUT_SECONDS", 30, 1..=600),
        keep_alive: seconds(env, "KEEP_ALIVE_SECONDS", 75, 1..=3600),
        connections: env.number("MAX_CONNECTIONS", 10_000, 1..=1_000_000) as usize,
        drain: seconds(env, "SHUTDOWN_DRAIN_SECONDS", 10, 0..=300),
    }
}

fn edge(env: &mut Env<'_>, keys: &apikeys::Policy) -> Edge {
    Edge {
        trusted_proxies: env.list("TRUSTED_PROXIES"),
        failures_per_hour: env.number("KEY_FAILURES_PER_HOUR", 300, 1..=3_600_000),
        legacy: legacy(env, keys.default_rate_limit),
    }
}

/// Both settings, or none: what is switched on must end.
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
            env.reject("LEGACY_TOKENS_SUNSET", "", "must be set with LEGACY_TOKENS_SECRET: the day on which they end");
            None
        }
        (_, Some(_)) => {
            let date = date.unwrap_or_default();
            env.reject("LEGACY_TOKENS_SUNSET", &date, "is a day as in 2027-06-30, together with LEGACY_TOKENS_SECRET");
            None
        }
    }
}

fn host(env: &mut Env<'_>) -> agis_host_process::Config {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let data_dir = PathBuf::from(env.text("AGIS_DATA_DIR").unwrap_or_else(|| "/var/lib/agis".to_owned()));
    if !data_dir.is_absolute() {
        env.reject("AGIS_DATA_DIR", &data_dir.display().to_string(), "is an absolute path");
    }
    agis_host_process::Config {
        data_dir,
        public_address: env.text("PUBLIC_ADDRESS").unwrap_or_else(|| machine.clone()),
        name: env.text("AGIS_HOST_NAME").unwrap_or(machine),
        bind_address: env.or("GAME_BIND_ADDRESS", IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_string(),
        game_user: env.text("GAME_USER").unwrap_or_else(|| "nobody".to_owned()),
        // The running program, also when the file it came from has been replaced.
        exe: PathBuf::from("/proc/self/exe"),
    }
}

fn catalogue(env: &mut Env<'_>) -> Arc<game::Catalogue> {
    let Some(file) = env.text("GAMES_FILE") else { return parsed(env, "the built-in catalogue", game::BUILT_IN) };
    match std::fs::read_to_string(&file) {
        Ok(text) => parsed(env, &file, &text),
        Err(error) => {
            env.reject("GAMES_FILE", &file, &error.to_string());
            Arc::default()
        }
    }
}

fn parsed(env: &mut Env<'_>, file: &str, text: &str) -> Arc<game::Catalogue> {
    game::Catalogue::parse(text).map(Arc::new).unwrap_or_else(|error| {
        env.reject("GAMES_FILE", file, &error.to_string());
        Arc::default()
    })
}

fn seconds(env: &mut Env<'_>, key: &str, default: u32, bounds: std::ops::RangeInclusive<u32>) -> Duration {
    Duration::from_secs(env.number(key, default, bounds).into())
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::*;

    #[test]
    fn every_setting_is_documented_and_no_other() {
        let asked = RefCell::new(BTreeSet::new());
        let get = |key: &str| {
            asked.borrow_mut().insert(key.to_owned());
            None
        };
        assert!(read(&get).is_err(), "DATABASE_URL is required");
        assert!(logs(&get).is_ok());
        let documented: BTreeSet<_> = include_str!("../../../docs/CONFIGURATION.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .map(str::to_owned)
            .collect();
        assert_eq!(*asked.borrow(), documented);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let get = |key: &str| match key {
            "API_PORT" => Some("high".to_owned()),
            "OPERATION_LEASE_SECONDS" => Some("0".to_owned()),
            "GAMES_FILE" => Some("/nowhere.toml".to_owned()),
            _ => None,
        };
        let errors = read(&get).err().expect("errors").0.join("\n");
        for key in ["DATABASE_URL", "API_PORT", "OPERATION_LEASE_SECONDS", "GAMES_FILE"] {
            assert!(errors.contains(key), "{key} is not in:\n{errors}");
        }
    }
}
