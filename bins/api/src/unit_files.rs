//! The systemd units of docs/operations/systemd, and the page that installs them.

use std::{collections::BTreeSet, time::Duration};

use agis_runtime::shutdown::{API_JOBS, BOT_ANSWERS, BOT_JOBS};
use clap::Parser;

use crate::{cli::Cli, config, serve};

const API: &str = include_str!("../../../docs/operations/systemd/agis-api.service");
const BOT: &str = include_str!("../../../docs/operations/systemd/agis-bot.service");
const ORDINARY: &str = include_str!("../../../docs/operations/systemd/ordinary-account.conf");
const PAGE: &str = include_str!("../../../docs/operations/install.md");
const SETTINGS: &str = include_str!("../../../docs/CONFIGURATION.md");

/// Returns the values of a setting of a unit, in their order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn seconds(unit: &str, key: &str) -> Duration {
    Duration::from_secs(values(unit, key).concat().parse().expect("seconds"))
}

#[test]
fn games_outlive_a_restart_of_the_unit() {
    for (key, value) in [("KillMode", "process"), ("OOMPolicy", "continue"), ("TasksMax", "infinity")] {
        assert_eq!(values(API, key), [value], "{key}");
    }
    assert_eq!(values(API, "Delegate"), ["yes"]);
}

#[test]
fn units_refuse_nothing_that_games_need() {
    for key in ["MemoryDenyWriteExecute", "SystemCallArchitectures", "LockPersonality", "PrivateTmp", "PrivateUsers"] {
        let reason = API.lines().any(|line| line.starts_with("# -") && line.contains(key));
        assert!(values(API, key).is_empty() && reason, "{key} is left out, and the unit says why");
    }
}

#[test]
fn units_wait_for_an_orderly_end() {
    let config = config::read(&|key| (key == "DATABASE_URL").then(|| "postgres://localhost/agis".to_owned()));
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    let end = config.shutdown_delay + config.network.drain + serve::GAMES + API_JOBS;
    assert!(seconds(API, "TimeoutStopSec") > end, "{end:?}");
    assert!(seconds(BOT, "TimeoutStopSec") > BOT_ANSWERS + BOT_JOBS);
}

#[test]
fn page_installs_what_the_units_name() {
    for (unit, name) in [(API, "agis-api.service"), (BOT, "agis-bot.service"), (ORDINARY, "ordinary-account.conf")] {
        assert!(PAGE.contains(&format!("docs/operations/systemd/{name}")), "{name}");
        let commands = values(unit, "ExecStart").into_iter().filter_map(|command| command.split(' ').next());
        for path in commands.chain(values(unit, "EnvironmentFile")) {
            let (folder, file) = path.rsplit_once('/').expect("an absolute path");
            assert!(
                PAGE.contains(path) || PAGE.contains(folder) && PAGE.contains(&format!("release/{file}")),
                "{path}"
            );
        }
    }
    let command = values(API, "ExecStart").concat();
    assert!(Cli::try_parse_from(command.split(' ')).is_ok(), "{command}");
    assert_eq!(values(API, "StateDirectory"), ["agis"]);
    assert!(PAGE.contains("AGIS_DATA_DIR=/var/lib/agis\n"), "StateDirectory=agis is that folder");
}

#[test]
fn page_sets_known_settings_only() {
    let known: BTreeSet<_> = SETTINGS.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let is_name = |name: &&str| name.len() > 3 && name.chars().all(|it| it.is_ascii_uppercase() || it == '_');
    let set: BTreeSet<_> = PAGE.lines().filter_map(|line| line.trim().split_once('=')).map(|(name, _)| name).collect();
    let set: BTreeSet<_> = set.into_iter().filter(is_name).collect();
    assert!(set.len() > 4 && set.is_subset(&known), "{:?}", set.difference(&known));
}

#[test]
fn page_commands_exist() {
    for line in PAGE.lines().filter_map(|line| line.strip_prefix("agis ")) {
        let line = line.replace("<your Discord id>", "1");
        assert!(Cli::try_parse_from(["agis-api"].into_iter().chain(line.split(' '))).is_ok(), "{line}");
    }
}
