//! Settings of both programs, from the environment. `docs/CONFIGURATION.md` lists them; a test of each program compares
//! the two.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
    time::Duration,
};

use agis_apikeys as apikeys;
use agis_limiter_redis::{Files, RedisUrl, UrlError};
use agis_runtime::{ConfigErrors, Env, telemetry::LogFormat};
use agis_scheduler::{store as scheduler, zone::ZoneData};
use agis_servers::{
    self as servers, Home,
    game::{self, RunsOn},
    store::Billing,
};
use agis_storage::{DatabaseUrl, DbConfig};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Operator's decisions about servers, schedules and keys, for both transports.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Rules about servers.
    pub servers: servers::Policy,
    /// Games that can be played.
    pub catalogue: Arc<game::Catalogue>,
    /// Maximum numbers of schedules.
    pub schedules: scheduler::Limits,
    /// Rules about keys.
    pub keys: apikeys::Policy,
    /// Number of callers that the limiter remembers at once.
    pub buckets: usize,
    /// Redis in which all processes count together; `None`: each process counts by itself.
    pub redis: Option<RedisUrl>,
}

impl Rules {
    /// Reads the rules. New servers live on these hosts; the catalogue holds the games that they can run.
    pub fn read(env: &mut Env<'_>, homes: &[Home]) -> Self {
        let servers = servers::Policy {
            homes: homes.to_vec(),
            servers_per_user: env.number("SERVERS_PER_USER", 20, 1..=100_000),
            billing: if env.word("BILLING", &["off", "on"]) == "on" { Billing::On } else { Billing::Off },
        };
        Self {
            servers,
            catalogue: catalogue(env, homes),
            schedules: schedules(env),
            keys: keys(env),
            buckets: env.number("RATE_LIMIT_BUCKETS", 100_000, 64..=100_000_000) as usize,
            redis: redis(env),
        }
    }
}

fn schedules(env: &mut Env<'_>) -> scheduler::Limits {
    // Zones are read on demand; a folder without zones is an error at once.
    if let Some(folder) = env.text("TZDIR")
        && let Err(error) = ZoneData::in_folder(Path::new(&folder))
    {
        env.reject("TZDIR", &folder, &format!("is a folder with time zones, as /usr/share/zoneinfo: {error}"));
    }
    scheduler::Limits {
        per_server: env.number("SCHEDULES_PER_SERVER", 50, 1..=100_000),
        per_user: env.number("SCHEDULES_PER_USER", 100, 1..=1_000_000),
    }
}

/// Settings of the logs, read before all others.
#[derive(Debug, Clone)]
pub struct Logs {
    /// Format of log lines.
    pub format: LogFormat,
    /// Filter of log lines, in the form of `RUST_LOG`.
    pub filter: String,
}

/// Reads the process's environment.
pub fn environment(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// Hides the environment from other processes of the same account: games may run under it, and must not read the
/// database's password or the bot's token from /proc.
///
/// # Errors
/// Fails if the system call does.
pub fn hide_environment() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Reads the settings of the logs.
///
/// # Errors
/// Returns all faults of the settings.
pub fn logs(get: &dyn Fn(&str) -> Option<String>) -> Result<Logs, ConfigErrors> {
    let mut env = Env::new(get);
    let format = match env.word("LOG_FORMAT", &["auto", "json", "pretty"]) {
        "json" => LogFormat::Json,
        "pretty" => LogFormat::Pretty,
        _ => LogFormat::of_terminal(),
    };
    let filter = env.text("RUST_LOG").unwrap_or_else(|| "info,actix_server=warn,actix_http=off".to_owned());
    env.finish().map(|()| Logs { format, filter })
}

/// Reads the settings of the database.
pub fn database(env: &mut Env<'_>) -> DbConfig {
    DbConfig { url: database_url(env), connections: env.number("DATABASE_CONNECTIONS", 10, 2..=1000) as usize }
}

/// Reads the database's URL.
pub fn database_url(env: &mut Env<'_>) -> DatabaseUrl {
    let text = env.required("DATABASE_URL", "postgres://user:password@localhost:5432/agis");
    if text.is_empty() {
        return DatabaseUrl::default();
    }
    DatabaseUrl::parse(&text).unwrap_or_else(|errors| {
        errors.iter().for_each(|why| env.reject("DATABASE_URL", "…", why));
        DatabaseUrl::default()
    })
}

/// Reads the address of probes and scrapes. They reveal the inside, so the default is the loopback.
pub fn metrics_address(env: &mut Env<'_>) -> IpAddr {
    env.or("METRICS_ADDRESS", IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Returns the machine's own name.
pub fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Reads the hosts on which new servers live, at least one and at most one of each kind.
pub fn homes(env: &mut Env<'_>) -> Vec<Home> {
    let text = env.text("AGIS_HOST").unwrap_or_else(|| RunsOn::Process.as_str().to_owned());
    let words: Vec<_> = text.split(',').map(str::trim).collect();
    let mut kinds: Vec<_> = words.iter().filter_map(|word| RunsOn::from_word(word)).collect();
    let is_alone = kinds.len() == 1;
    if kinds.len() != words.len() {
        env.reject("AGIS_HOST", &text, "is process, container or agones, or several with commas between them");
    } else if (1..kinds.len()).any(|place| kinds[..place].contains(&kinds[place])) {
        env.reject("AGIS_HOST", &text, "names each kind once");
    } else if kinds.contains(&RunsOn::Agones) && !is_alone {
        env.reject("AGIS_HOST", &text, "has agones alone: a pod has no place for other games");
        kinds.retain(|kind| *kind != RunsOn::Agones);
    }
    if kinds.is_empty() {
        kinds.push(RunsOn::Process);
    }
    let default = || if kinds == [RunsOn::Agones] { "agones".to_owned() } else { machine() };
    let name = env.text("AGIS_HOST_NAME").unwrap_or_else(default);
    let home = |kind: &RunsOn| Home { kind: *kind, name: host_name(*kind, &name) };
    kinds.iter().map(home).collect()
}

/// Returns the name of a host of this machine, or of this cluster. It depends on no other kind that is served, so that no
/// server changes its host with the list.
fn host_name(kind: RunsOn, name: &str) -> String {
    match kind {
        RunsOn::Process | RunsOn::Agones => name.to_owned(),
        RunsOn::Container => format!("{name}-container"),
    }
}

/// Reads the rules about keys.
pub fn keys(env: &mut Env<'_>) -> apikeys::Policy {
    let max_rate_limit = env.number("MAX_RATE_LIMIT", 10_000, 1..=3_600_000);
    apikeys::Policy {
        keys_per_user: env.number("KEYS_PER_USER", 25, 1..=100_000),
        default_rate_limit: env.number("DEFAULT_RATE_LIMIT", 100.min(max_rate_limit), 1..=max_rate_limit),
        max_rate_limit,
    }
}

fn redis(env: &mut Env<'_>) -> Option<RedisUrl> {
    let [url, ca, certificate, key] =
        ["REDIS_URL", "REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE"].map(|key| env.text(key));
    let files = Files { ca: ca.as_deref(), certificate: certificate.as_deref(), key: key.as_deref() };
    let read = RedisUrl::new(&url?, files);
    read.map_err(|errors| errors.into_iter().for_each(|error| reject_redis(env, error))).ok()
}

/// Returns an error without the URL: there is a password in it.
fn reject_redis(env: &mut Env<'_>, error: UrlError) {
    match error {
        UrlError::Form(why) => env.reject("REDIS_URL", "…", why),
        UrlError::File(fault) => env.reject(fault.setting, &fault.value, &fault.why),
    }
}

/// Reads a number of seconds.
pub fn seconds(env: &mut Env<'_>, key: &str, default: u32, bounds: RangeInclusive<u32>) -> Duration {
    Duration::from_secs(env.number(key, default, bounds).into())
}

/// Limits of a game that names none. A game that needs more says so in the catalogue; a bomb ends before the machine does.
const LIMITS: &str = r#"{ memory = "4GiB", pids = 1024, console = "1MiB/s" }"#;

/// Reads the games, with the limits of this installation.
pub fn catalogue(env: &mut Env<'_>, homes: &[Home]) -> Arc<game::Catalogue> {
    let read = read_catalogue(env, &homes.iter().map(|home| home.kind).collect::<Vec<_>>());
    let usual: game::Limits = LIMITS.parse().unwrap_or_default();
    let default = env.or("AGIS_LIMITS_DEFAULT", usual);
    let max: game::Limits = env.or("AGIS_LIMITS_MAX", game::Limits::default());
    Arc::unwrap_or_clone(read).within(default, max).map(Arc::new).unwrap_or_else(|beyond| {
        env.reject("AGIS_LIMITS_MAX", &env.text("AGIS_LIMITS_MAX").unwrap_or_default(), &beyond.join("; "));
        Arc::default()
    })
}

fn read_catalogue(env: &mut Env<'_>, kinds: &[RunsOn]) -> Arc<game::Catalogue> {
    let file = env.text("GAMES_FILE");
    let read = match &file {
        None => game::Catalogue::built_in().map_err(|error| error.to_string()),
        Some(file) => match game::Catalogue::load(file.as_ref()) {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        },
    };
    let why = match read.and_then(|catalogue| fits(catalogue, kinds)).map(|catalogue| catalogue.only(kinds)) {
        Ok(catalogue) if catalogue.games().next().is_some() => return Arc::new(catalogue),
        Ok(_) => "has no game that the hosts of AGIS_HOST can run".to_owned(),
        Err(why) => why,
    };
    env.reject("GAMES_FILE", file.as_deref().unwrap_or("the built-in catalogue"), &why);
    Arc::default()
}

/// Refuses containers of the operator's own that an installation on a cluster alone could never run. Without a word they
/// would be missing.
fn fits(catalogue: game::Catalogue, kinds: &[RunsOn]) -> Result<game::Catalogue, String> {
    if kinds != [RunsOn::Agones] {
        return Ok(catalogue);
    }
    let own = catalogue.games().filter(|game| !game.is_built_in && game.container().is_some());
    let unfit = own.filter_map(|game| {
        let why = game.why_not_on(RunsOn::Agones)?;
        Some(format!("game '{}' cannot run on Agones for {why}; change it, or say `enabled = false`", game.key))
    });
    let unfit: Vec<_> = unfit.collect();
    if unfit.is_empty() { Ok(catalogue) } else { Err(unfit.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes_of(hosts: &str) -> Result<Vec<(RunsOn, String)>, ConfigErrors> {
        let get = |key: &str| match key {
            "AGIS_HOST" => Some(hosts.to_owned()),
            "AGIS_HOST_NAME" => Some("box".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&get);
        let homes = homes(&mut env).into_iter().map(|home| (home.kind, home.name)).collect();
        env.finish().map(|()| homes)
    }

    #[test]
    fn name_of_a_host_depends_on_no_other() {
        let home = |kind, name: &str| (kind, name.to_owned());
        let (process, container) = (home(RunsOn::Process, "box"), home(RunsOn::Container, "box-container"));
        for (hosts, expected) in [
            ("process", vec![process.clone()]),
            ("container", vec![container.clone()]),
            ("process,container", vec![process.clone(), container.clone()]),
            (" container , process ", vec![container, process]),
            ("agones", vec![home(RunsOn::Agones, "box")]),
        ] {
            assert_eq!(homes_of(hosts).expect(hosts), expected);
        }
    }

    #[test]
    fn wrong_list_of_hosts_says_what_to_write() {
        for (hosts, says) in [
            ("docker", "is process, container or agones"),
            ("process,", "is process, container or agones"),
            ("process,process", "names each kind once"),
            ("process,agones", "has agones alone"),
        ] {
            let errors = homes_of(hosts).expect_err(hosts).to_string();
            assert!(errors.contains(says), "{hosts}: {errors}");
        }
    }

    #[test]
    fn own_container_that_no_cluster_can_run_is_told() {
        let game = |key: &str, more: &str| {
            format!(
                "[{key}]\ntitle = '{key}'\ncost_per_hour = 0\nport = 7\n{more}ready = {{ when = 'port' }}\n\
                 container = {{ image = 'g:1' }}\n"
            )
        };
        let read = |text: &str| game::Catalogue::parse(text).expect("a catalogue");
        let both = read(&[game("fits", ""), game("odd", "files = { 'a.cfg' = 'a' }\n")].concat());
        let why = fits(both.clone(), &[RunsOn::Agones]).expect_err("one cannot run");
        assert!(why.starts_with("game 'odd' cannot run on Agones for its `files`"), "{why}");
        assert!(fits(both, &[RunsOn::Container]).is_ok());
        assert!(fits(read(&game("fits", "")), &[RunsOn::Agones]).is_ok());
        let built_in = game::Catalogue::built_in().expect("the catalogue");
        assert!(fits(built_in, &[RunsOn::Agones]).is_ok(), "it is left out without a word");
    }
}
