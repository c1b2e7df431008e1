//! Every setting, read once. `docs/CONFIGURATION.md` lists them; a test holds the two together.

use std::{net::SocketAddr, path::PathBuf};

use agis_discord::{ApiUrl, Guild, Settings};
use agis_program::{Rules, settings};
use agis_runtime::{ConfigErrors, Env};
use agis_storage::DbConfig;

/// Settings of `agis-bot`.
pub(crate) struct Config {
    pub(crate) database: DbConfig,
    /// Address of probes and scrapes.
    pub(crate) metrics: SocketAddr,
    pub(crate) rules: Rules,
    /// Of the `agis-api` of this machine: there are the consoles of its servers.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) discord: Discord,
    pub(crate) settings: Settings,
}

/// How Discord is reached, and as whom. Not printable: it holds the token.
pub(crate) struct Discord {
    pub(crate) token: String,
    pub(crate) api: Option<ApiUrl>,
    pub(crate) guild: Option<Guild>,
}

pub(crate) fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
    let mut env = Env::new(get);
    let homes = settings::homes(&mut env);
    let config = Config {
        database: settings::database(&mut env),
        metrics: SocketAddr::new(settings::metrics_address(&mut env), env.or("METRICS_PORT", 8081)),
        rules: Rules::read(&mut env, &homes),
        data_dir: env.text("AGIS_DATA_DIR").map(PathBuf::from),
        discord: discord(&mut env),
        settings: Settings {
            requests_per_hour: env.number("DISCORD_REQUESTS_PER_HOUR", 300, 1..=3_600_000),
            api_url: env.text("PUBLIC_API_URL"),
        },
    };
    env.finish().map(|()| config)
}

fn discord(env: &mut Env<'_>) -> Discord {
    let token = env.required("DISCORD_TOKEN", "the token of the bot, from https://discord.com/developers/applications");
    if token.chars().any(|character| !character.is_ascii_graphic()) {
        env.reject("DISCORD_TOKEN", "…", "has only visible ASCII characters");
    }
    Discord { token, api: optional(env, "DISCORD_API_URL"), guild: optional(env, "DISCORD_GUILD_ID") }
}

fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(env: &mut Env<'_>, key: &str) -> Option<T> {
    let text = env.text(key)?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            env.reject(key, &text, &error.to_string());
            None
        }
    }
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
        assert!(read(&get).is_err(), "DISCORD_TOKEN is required");
        assert!(settings::logs(&get).is_ok());
        let text = include_str!("../../../docs/CONFIGURATION.md");
        let of_the_bot = text.split_once("## agis-bot").expect("a part about the bot").1;
        let documented: BTreeSet<_> = of_the_bot
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .map(str::to_owned)
            .collect();
        assert_eq!(*asked.borrow(), documented);
    }

    #[test]
    fn all_errors_are_told_and_the_token_never() {
        let get = |key: &str| match key {
            "DISCORD_TOKEN" => Some("secret token".to_owned()),
            "DISCORD_API_URL" => Some("ftp://discord".to_owned()),
            "DISCORD_GUILD_ID" => Some("my guild".to_owned()),
            _ => None,
        };
        let errors = read(&get).err().expect("errors").0.join("\n");
        for key in ["DATABASE_URL", "DISCORD_TOKEN", "DISCORD_API_URL", "DISCORD_GUILD_ID"] {
            assert!(errors.contains(key), "{key} is not in:\n{errors}");
        }
        assert!(!errors.contains("secret token"), "{errors}");
    }
}
