//! Restart policies of servers, and restarts that wait.

use agis_base::{InvalidSpan, Span, Timestamp};
use agis_servers::{Restart, RestartChoice, RestartOn, RestartPolicy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{body::Number, problem::Problem, words};

/// The rule by which a server is started again after it ended by itself.
#[derive(Serialize, ToSchema)]
#[schema(as = RestartPolicy, examples(json!({ "on": "crash", "max": 5, "within": "10m", "stable_after": "5m" })))]
pub(crate) struct RestartPolicyDto {
    #[schema(value_type = words::RestartOn)]
    on: &'static str,
    /// The restarts within `within` after which the server stays down until somebody starts it.
    #[schema(minimum = 1, maximum = 50)]
    max: u32,
    /// The time in which restarts are counted together, such as `10m`.
    within: String,
    /// The time after which a run has proved itself: the waits begin with a second again, and no restart before it counts.
    stable_after: String,
}

impl From<RestartPolicy> for RestartPolicyDto {
    fn from(RestartPolicy { on, max, within, stable_after }: RestartPolicy) -> Self {
        Self { on: on.as_str(), max, within: within.to_string(), stable_after: stable_after.to_string() }
    }
}

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RestartPolicyChange, examples(json!({ "on": "always", "max": 10 })))]
pub(crate) struct ChangeRestartPolicy {
    #[schema(value_type = Option<words::RestartOn>)]
    on: Option<String>,
    /// The restarts within `within` after which the server stays down until somebody starts it.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 50)]
    max: Option<Number<i64>>,
    /// A time in whole seconds from 1 s to 24 h, such as `90s`, `10m` or `2h`.
    #[schema(max_length = 40)]
    within: Option<String>,
    /// A time in whole seconds from 1 s to 24 h, such as `90s`, `10m` or `2h`.
    #[schema(max_length = 40)]
    stable_after: Option<String>,
}

impl ChangeRestartPolicy {
    pub(crate) fn choice(self) -> Result<RestartChoice, Problem> {
        let span = |field: &'static str, text: Option<String>| {
            let span: Option<Result<Span, InvalidSpan>> = text.map(|text| text.parse());
            span.transpose().map_err(|error| Problem::invalid_value(field, error.to_string()))
        };
        let on = self.on.map(|word| {
            let rule = "is one of: crash, always, never";
            RestartOn::from_word(&word).ok_or_else(|| Problem::invalid_value("restart_policy.on", rule))
        });
        Ok(RestartChoice {
            on: on.transpose()?,
            // The policy names its range.
            max: self.max.map(|Number(max)| u32::try_from(max).unwrap_or_default()),
            within: span("restart_policy.within", self.within)?,
            stable_after: span("restart_policy.stable_after", self.stable_after)?,
        })
    }
}

/// The restart of a server that ended by itself.
#[derive(Serialize, ToSchema)]
#[schema(as = Restart, examples(json!({ "at": "2026-11-22T19:05:08Z", "attempt": 3, "of": 5 })))]
pub(crate) struct RestartDto {
    /// The time of the next restart. Null: there is none any more, until somebody starts the server.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// The number of the next restart, or of the last one if there is none any more.
    attempt: u32,
    /// The restarts after which the server stays down.
    of: u32,
}

impl From<Restart> for RestartDto {
    fn from(Restart { at, attempt, of }: Restart) -> Self {
        Self { at, attempt, of }
    }
}
