//! Rules of servers on which nobody plays.

use agis_base::{Span, Timestamp};
use agis_servers::{
    Idle, IdleRule,
    idle::{Asleep, InvalidIdle, KEEP_MAX, KeepWindow, WakeOnJoin},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// Hours of each day, by the clocks of a time zone.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeepWindow, examples(json!({ "from": "18:00", "to": "23:00", "timezone": "Europe/Berlin" })))]
pub(crate) struct KeepWindowDto {
    /// The first minute.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    from: String,
    /// The minute of the end. One that is earlier than `from` is on the next day.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    to: String,
    /// The IANA name of the time zone.
    #[schema(max_length = 50)]
    timezone: String,
}

/// The rule by which a server is stopped when nobody plays. It takes the place of an earlier one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = IdleChange, examples(json!({
    "stop_after": "30m", "keep": [{ "from": "18:00", "to": "23:00", "timezone": "Europe/Berlin" }]
})))]
pub(crate) struct ChangeIdle {
    /// A time in whole seconds from 5 min to 24 h, such as `30m`. The server is stopped when its game has told for all this
    /// time that nobody plays.
    #[schema(max_length = 40)]
    stop_after: String,
    /// Hours in which the server is not stopped, 10 windows at most.
    #[schema(max_items = 10)]
    keep: Option<Vec<KeepWindowDto>>,
    /// A gate for Minecraft's Java edition: while the server sleeps, AGIS listens in its place, and starts it when somebody
    /// joins. Absent or null: none.
    #[schema(value_type = Option<WakeOnJoinDto>)]
    wake_on_join: Option<WakeOnJoinDto>,
}

/// The players who wake a server by joining.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WakeOnJoin, examples(json!({ "players": ["Ann", "Bob"] })))]
pub(crate) struct WakeOnJoinDto {
    /// The names of the players, regardless of case; a list keeps scanners away, and proves nothing. Absent or null: everybody.
    #[schema(min_items = 1, max_items = 100)]
    players: Option<Vec<String>>,
}

impl ChangeIdle {
    pub(crate) fn rule(self) -> Result<IdleRule, Problem> {
        let Self { stop_after, keep, wake_on_join } = self;
        let stop_after: Span = stop_after
            .parse()
            .map_err(|error: agis_base::InvalidSpan| Problem::invalid_value("idle.stop_after", error.to_string()))?;
        let keep = keep.unwrap_or_default();
        // The service refuses a list with one window too many.
        let windows = keep.iter().take(KEEP_MAX + 1);
        let windows = windows.map(|KeepWindowDto { from, to, timezone }| KeepWindow::parse(from, to, timezone));
        let keep = windows.collect::<Result<_, _>>();
        let keep =
            keep.map_err(|InvalidIdle { field, rule }| Problem::invalid_value("idle", format!("{field} {rule}")))?;
        let wake_on_join = wake_on_join.map(|WakeOnJoinDto { players }| WakeOnJoin { players });
        Ok(IdleRule { stop_after, keep, wake_on_join })
    }
}

/// The rule by which a server is stopped when nobody plays, and what it came to.
#[derive(Serialize, ToSchema)]
#[schema(as = Idle, examples(json!({
    "stop_after": "30m", "keep": [{ "from": "18:00", "to": "23:00", "timezone": "Europe/Berlin" }],
    "wake_on_join": { "players": ["Ann", "Bob"] }, "asleep_since": "2026-11-29T23:30:00Z", "without_gate": false, "saved_credits": 120
})))]
pub(crate) struct IdleDto {
    /// The time without players after which the server is stopped.
    stop_after: String,
    /// Hours in which the server is not stopped.
    keep: Vec<KeepWindowDto>,
    /// The gate that wakes the server for players who join. Null: none.
    #[schema(value_type = Option<WakeOnJoinDto>)]
    wake_on_join: Option<WakeOnJoinDto>,
    /// The time at which the rule stopped the server. Null unless it is stopped by the rule.
    #[schema(value_type = Option<String>, format = DateTime)]
    asleep_since: Option<Timestamp>,
    /// Whether players cannot wake the sleeping server, whatever `wake_on_join` says: its host has gates for the 500 servers that
    /// fell asleep last.
    without_gate: bool,
    /// The credits that whole hours of sleep would have cost since the server has a rule.
    #[schema(minimum = 0)]
    saved_credits: i64,
}

impl IdleDto {
    /// Shows the rule of a server with this price of an hour.
    pub(crate) fn of(idle: Idle, without_gate: bool, price: i32, now: Timestamp) -> Self {
        let saved_credits = idle.saved_credits(price, now);
        let Idle { rule: IdleRule { stop_after, keep, wake_on_join }, asleep, .. } = idle;
        let window = |window: &KeepWindow| KeepWindowDto {
            from: window.from(),
            to: window.to(),
            timezone: window.timezone().to_owned(),
        };
        Self {
            stop_after: stop_after.to_string(),
            keep: keep.iter().map(window).collect(),
            wake_on_join: wake_on_join.map(|WakeOnJoin { players }| WakeOnJoinDto { players }),
            asleep_since: asleep.map(|Asleep { since, .. }| since),
            without_gate,
            saved_credits,
        }
    }
}
