//! Table of every metric of a program: name, labels and help.
//!
//! Code counts metrics where things happen, and this table gives them their help. `docs/operations/metrics.md` lists
//! them, and a test compares the two.

use metrics::{
    Unit::{self, Bytes, Count, Seconds},
    describe_counter, describe_gauge, describe_histogram,
};

use self::Kind::{Counter, Gauge, Histogram};

/// Type of a metric, as Prometheus has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, and begins anew with the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// Metric as a reader meets it.
#[derive(Debug)]
pub struct Described {
    /// Name of the metric.
    pub name: &'static str,
    /// Type of the metric.
    pub kind: Kind,
    /// Unit of the number.
    pub unit: Unit,
    /// Labels. None names a user, a server or a key, so the number of series is bounded.
    pub labels: &'static [&'static str],
    /// Help text.
    pub help: &'static str,
}

const fn of(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Described {
    Described { name, kind, unit, labels, help }
}

#[rustfmt::skip]
/// All metrics, in the order of the guide.
pub const ALL: &[Described] = &[
    of("agis_bot_api_requests_total", Counter, Count, &["method", "endpoint", "status"], "Answers of the REST API; endpoint is the pattern of the route"),
    of("agis_bot_api_request_duration_seconds", Histogram, Seconds, &["method", "endpoint"], "Time from a request to the head of its answer"),
    of("agis_bot_key_lookups_total", Counter, Count, &["source"], "API keys that were looked up, in the process's cache or in the database"),
    of("agis_bot_key_failures_total", Counter, Count, &["reason"], "Requests with a key that is none, is expired, or is missing"),
    of("agis_bot_legacy_token_uses_total", Counter, Count, &[], "Requests that were let in by a legacy token"),
    of("agis_bot_console_followers", Gauge, Count, &[], "Clients that follow a console"),
    of("agis_bot_rate_limit_decisions_total", Counter, Count, &["backend", "outcome"], "Decisions of the rate limiter, in the process's memory or in Redis"),
    of("agis_bot_rate_limit_buckets", Gauge, Count, &[], "Callers whose bucket is not full, in this process"),
    of("agis_bot_rate_limit_redis_up", Gauge, Count, &[], "1 while limits are counted in Redis, 0 while each process counts by itself"),
    of("agis_bot_rate_limit_fallbacks_total", Counter, Count, &[], "How often Redis was lost"),
    of("agis_bot_scheduler_active_schedules", Gauge, Count, &[], "Schedules that are enabled, in the database"),
    of("agis_bot_scheduler_executions_total", Counter, Count, &["action", "status"], "Firings of schedules that have ended, by how"),
    of("agis_bot_scheduler_lateness_seconds", Histogram, Seconds, &[], "Time from when a firing was due to when it was claimed"),
    of("agis_bot_operations_total", Counter, Count, &["action", "status"], "Operations on servers that have ended, by how"),
    of("agis_bot_servers", Gauge, Count, &["host", "status"], "Servers, by the machine or cluster that they run on and their status, in the database"),
    of("agis_bot_servers_active", Gauge, Count, &["game_type"], "Servers that run, by game, in the database"),
    of("agis_bot_server_crashes_total", Counter, Count, &[], "Servers that ended by themselves"),
    of("agis_bot_agones_orphans_reaped_total", Counter, Count, &[], "GameServers of the cluster that were nobody's and were taken away"),
    of("agis_bot_agones_fences_lost_total", Counter, Count, &[], "Fences of running servers that somebody had deleted and that were written anew"),
    of("agis_bot_agones_unreadable_total", Counter, Count, &[], "GameServers of ours whose status is not as Agones writes it, each once by every process"),
    of("agis_bot_commands_total", Counter, Count, &["command", "status"], "Interactions that the bot has answered"),
    of("agis_bot_command_duration_seconds", Histogram, Seconds, &["command"], "Time from an interaction to its answer"),
    of("agis_bot_discord_shards_connected", Gauge, Count, &[], "Connections to Discord's gateway that are up"),
    of("agis_bot_interrupted_interactions_total", Counter, Count, &["outcome"], "Interactions whose bot ended in the middle, by what another made of them"),
    of("agis_bot_notices_total", Counter, Count, &["outcome"], "Notices to owners that were sent, are tried again, or were given up"),
    of("agis_bot_credits_spent_total", Counter, Count, &["game_type"], "Credits that running servers have cost, by game"),
    of("agis_bot_credits_hourly", Gauge, Count, &["game_type"], "Credits that were paid within the last hour, by game, in the ledger"),
    of("agis_bot_credits_given", Gauge, Count, &["kind"], "Credits that accounts came to in all, by kind of line, in the ledger; corrections may be negative"),
    of("agis_bot_credits_held", Gauge, Count, &[], "Credits that all users have together, in the database"),
    of("agis_bot_servers_short_of_credits", Gauge, Count, &[], "Servers that run and whose owner was told that they cannot pay the next hour, in the database"),
    of("agis_bot_unpaid_stops_total", Counter, Count, &[], "Servers that were stopped because their owner could not pay"),
    of("agis_bot_component_up", Gauge, Count, &["component"], "1 while a part of the process works, 0 while readiness names it"),
    of("agis_bot_component_silence_seconds", Gauge, Seconds, &["component"], "Time since a part of the process last worked; the heartbeat of the scheduler is one of them"),
    of("agis_bot_db_pool_connections", Gauge, Count, &["state"], "Connections of the pool to the database, idle and busy"),
    of("agis_bot_db_pool_waiting", Gauge, Count, &[], "Tasks that wait for a connection"),
    of("agis_bot_db_pool_max", Gauge, Count, &[], "Connections that the pool may have"),
    of("agis_bot_db_writes_refused_total", Counter, Count, &[], "Writes that the database refused for what they hold; each ended what it was about"),
    of("agis_bot_rows_not_understood", Gauge, Count, &["table"], "Rows that wait in the database for a newer version of the program, which has written them"),
    of("process_cpu_seconds_total", Counter, Seconds, &[], "Processor time that the process has used"),
    of("process_resident_memory_bytes", Gauge, Bytes, &[], "Memory of the process that is in RAM"),
    of("process_open_fds", Gauge, Count, &[], "File descriptors that are open"),
    of("process_max_fds", Gauge, Count, &[], "File descriptors that may be open"),
    of("process_threads", Gauge, Count, &[], "Threads of the process"),
    of("process_start_time_seconds", Gauge, Seconds, &[], "When the process began, as Unix time"),
];

/// Gives the recorder the help of each metric.
pub(super) fn describe() {
    for Described { name, kind, unit, help, .. } in ALL {
        match kind {
            Counter => describe_counter!(*name, *unit, *help),
            Gauge => describe_gauge!(*name, *unit, *help),
            Histogram => describe_histogram!(*name, *unit, *help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(of: &Described) -> String {
        let unit = if of.unit == Count { String::new() } else { format!(", {}", of.unit.as_str()) };
        let kind = format!("{:?}", of.kind).to_lowercase();
        let labels: Vec<_> = of.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {kind}{unit} | {} | {} |", of.name, labels.join(", "), of.help).replace("|  |", "| |")
    }

    #[test]
    fn the_guide_lists_every_metric_and_no_other() {
        let guide = include_str!("../../../../docs/operations/metrics.md");
        let listed: Vec<_> =
            guide.lines().filter(|line| line.starts_with("| `agis_bot_") || line.starts_with("| `process_")).collect();
        assert_eq!(listed, ALL.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn a_name_says_what_it_counts_as_is_usual_for_prometheus() {
        for Described { name, kind, unit, .. } in ALL {
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            let base = name.trim_end_matches("_total");
            assert_eq!(base.ends_with("_seconds"), *unit == Seconds, "{name}");
            assert_eq!(base.ends_with("_bytes"), *unit == Bytes, "{name}");
        }
    }
}
