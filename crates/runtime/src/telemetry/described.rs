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
    of("agis_bot_api_requests_total", Counter, Count, &["method", "endpoint", "status"], "REST responses; endpoint is the route pattern"),
    of("agis_bot_api_request_duration_seconds", Histogram, Seconds, &["method", "endpoint"], "Time from a request to the head of its response"),
    of("agis_bot_key_lookups_total", Counter, Count, &["source"], "API key lookups, by source: the process's cache or the database"),
    of("agis_bot_key_failures_total", Counter, Count, &["reason"], "Requests refused for a missing, invalid or expired key"),
    of("agis_bot_legacy_token_uses_total", Counter, Count, &[], "Requests authenticated by a legacy token"),
    of("agis_bot_console_followers", Gauge, Count, &[], "Clients that follow a console"),
    of("agis_bot_rate_limit_decisions_total", Counter, Count, &["backend", "outcome"], "Rate limiter decisions, by backend (memory, Redis) and outcome"),
    of("agis_bot_rate_limit_buckets", Gauge, Count, &[], "Callers in this process whose bucket is not full"),
    of("agis_bot_rate_limit_redis_up", Gauge, Count, &[], "1 while Redis counts limits for all processes, 0 while each process counts its own"),
    of("agis_bot_rate_limit_fallbacks_total", Counter, Count, &[], "Losses of the connection to Redis"),
    of("agis_bot_scheduler_active_schedules", Gauge, Count, &[], "Enabled schedules in the database"),
    of("agis_bot_scheduler_executions_total", Counter, Count, &["action", "status"], "Ended firings of schedules, by final status"),
    of("agis_bot_scheduler_lateness_seconds", Histogram, Seconds, &[], "Time from the due time of a firing to its claim"),
    of("agis_bot_operations_total", Counter, Count, &["action", "status"], "Ended operations on servers, by final status"),
    of("agis_bot_servers", Gauge, Count, &["host", "status"], "Servers in the database, by host (machine or cluster) and status"),
    of("agis_bot_host_free_bytes", Gauge, Bytes, &["resource"], "Free room of the host that this process serves, by resource: disk or memory"),
    of("agis_bot_host_size_bytes", Gauge, Bytes, &["resource"], "Size of a resource of the host that this process serves"),
    of("agis_bot_host_missing_boundaries", Gauge, Count, &[], "Boundaries around games that the host of this process does not draw"),
    of("agis_bot_servers_active", Gauge, Count, &["game_type"], "Running servers in the database, by game"),
    of("agis_bot_players_online", Gauge, Count, &["game_type"], "Players on running servers that told of them within a minute, by game"),
    of("agis_bot_player_probes_total", Counter, Count, &["outcome"], "Questions to games who plays, by outcome: answered or unanswered"),
    of("agis_bot_server_crashes_total", Counter, Count, &[], "Servers that crashed"),
    of(
        "agis_bot_supervisor_restarts_total",
        Counter,
        Count,
        &["outcome"],
        "Restarts of servers that ended by themselves, by outcome: ordered, refused or given up",
    ),
    of("agis_bot_idle_stops_total", Counter, Count, &[], "Servers that were stopped since nobody played"),
    of("agis_bot_gates_missing", Gauge, Count, &[], "Sleeping servers of this host whose players cannot wake them, since it has 500 gates already"),
    of("agis_bot_gate_wakes_total", Counter, Count, &["outcome"], "Players who joined sleeping servers, by outcome: woken or refused"),
    of("agis_bot_server_crashes_corrected_total", Counter, Count, &[], "Crashes taken back, since the server runs"),
    of("agis_bot_agones_orphans_reaped_total", Counter, Count, &[], "Orphaned GameServers that the reaper deleted"),
    of("agis_bot_agones_fences_lost_total", Counter, Count, &[], "Deleted fences of running servers that AGIS wrote anew"),
    of("agis_bot_agones_unreadable_total", Counter, Count, &[], "AGIS' GameServers with a status that it cannot read; each process counts each GameServer once"),
    of("agis_bot_commands_total", Counter, Count, &["command", "status"], "Discord interactions that the bot answered"),
    of("agis_bot_command_duration_seconds", Histogram, Seconds, &["command"], "Time from a Discord interaction to its answer"),
    of("agis_bot_discord_shards_connected", Gauge, Count, &[], "Open connections to Discord's gateway"),
    of("agis_bot_interrupted_interactions_total", Counter, Count, &["outcome"], "Interactions that another bot took over from a dead one, by outcome"),
    of("agis_bot_notices_total", Counter, Count, &["outcome"], "Notices to owners, by outcome: sent, retried or given up"),
    of("agis_bot_credits_spent_total", Counter, Count, &["game_type"], "Credits charged for running servers, by game"),
    of("agis_bot_credits_hourly", Gauge, Count, &["game_type"], "Credits charged within the last hour, by game, from the ledger"),
    of("agis_bot_credits_given", Gauge, Count, &["kind"], "Credits given to accounts in total, by kind of ledger line; corrections may be negative"),
    of("agis_bot_credits_held", Gauge, Count, &[], "Sum of all users' credits in the database"),
    of("agis_bot_servers_short_of_credits", Gauge, Count, &[], "Running servers in the database whose owner was warned that the next hour cannot be paid"),
    of("agis_bot_unpaid_stops_total", Counter, Count, &[], "Servers stopped because their owner could not pay"),
    of("agis_bot_component_up", Gauge, Count, &["component"], "1 while a component of the process works, 0 while readiness reports it"),
    of("agis_bot_component_silence_seconds", Gauge, Seconds, &["component"], "Time since the last sign of life of a component, such as the scheduler's loop"),
    of("agis_bot_db_pool_connections", Gauge, Count, &["state"], "Database connections of the pool, by state: idle or busy"),
    of("agis_bot_db_pool_waiting", Gauge, Count, &[], "Tasks that wait for a database connection"),
    of("agis_bot_db_pool_max", Gauge, Count, &[], "Maximum database connections of the pool"),
    of("agis_bot_db_writes_refused_total", Counter, Count, &[], "Writes that the database refused for their content; each ended its item as failed"),
    of("agis_bot_rows_not_understood", Gauge, Count, &["table"], "Waiting rows that a newer version of the program wrote and this one cannot read"),
    of("process_cpu_seconds_total", Counter, Seconds, &[], "CPU time that the process used"),
    of("process_resident_memory_bytes", Gauge, Bytes, &[], "Resident memory of the process"),
    of("process_open_fds", Gauge, Count, &[], "Open file descriptors"),
    of("process_max_fds", Gauge, Count, &[], "Maximum open file descriptors"),
    of("process_threads", Gauge, Count, &[], "Threads of the process"),
    of("process_start_time_seconds", Gauge, Seconds, &[], "Start time of the process, in Unix time"),
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
    fn guide_lists_exactly_the_metrics() {
        let guide = include_str!("../../../../docs/operations/metrics.md");
        let listed: Vec<_> =
            guide.lines().filter(|line| line.starts_with("| `agis_bot_") || line.starts_with("| `process_")).collect();
        assert_eq!(listed, ALL.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn names_follow_prometheus_conventions() {
        for Described { name, kind, unit, .. } in ALL {
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            let base = name.trim_end_matches("_total");
            assert_eq!(base.ends_with("_seconds"), *unit == Seconds, "{name}");
            assert_eq!(base.ends_with("_bytes"), *unit == Bytes, "{name}");
        }
    }
}
