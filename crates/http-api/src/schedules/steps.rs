//! Steps in bodies: of schedules, of previews, and of runs.

use agis_base::{InvalidSpan, OperationId, ServerId, Span, Timestamp};
use agis_scheduler::{
    Action, PartRun, RunWithSteps, Work,
    chain::StepRun,
    work::{
        Awaited, Deed, DeedName, InvalidWork, OnError, Overlap, PlayersAre, ServerIs, Step, Warning, When, WhenChange,
        WorkChange,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::RunDto;
use crate::{body::Number, problem::Problem, words};

/// A step of a schedule. `do` says which other fields there are.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Step, examples(
    json!({ "do": "say", "text": "Back in five minutes" }),
    json!({ "do": "command", "command": "save-all" }),
    json!({ "do": "wait", "seconds": 30 }),
    json!({ "do": "wait_until", "state": "empty", "at_most": "2h", "on_error": "continue" }),
    json!({ "do": "restart", "warn": ["15m", "5m", "1m"], "text": "Restart in {minutes} minutes" })
))]
pub(crate) struct StepDto {
    /// `say` announces `text` to the players. `command` types `command` into the console. `wait` waits `seconds`.
    /// `wait_until` waits `at_most` so long for a `state`. `start`, `stop` and `restart` act on the server.
    #[serde(rename = "do")]
    #[schema(value_type = words::StepDeed)]
    deed: String,
    /// For `say`: the text, on one line. Beside `warn`: the announcement, with `{minutes}` or `{time}` for what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    text: Option<String>,
    /// For `command`: the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000)]
    command: Option<String>,
    /// For `wait`: the seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 86_400)]
    seconds: Option<Number<u32>>,
    /// For `wait_until`: the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::AwaitedState>)]
    state: Option<String>,
    /// For `wait_until`: a time such as `10m`, after which the step fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    at_most: Option<String>,
    /// For `stop` and `restart`: the times ahead at which players are told, the longest first. The step begins with the first
    /// announcement: a restart with `15m` follows 15 minutes after the slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 10)]
    warn: Option<Vec<String>>,
    /// Effect of a failure: `fail` (the default) ends the run after its `finally` steps, `continue` goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::OnError>)]
    on_error: Option<String>,
}

/// The condition under which a run begins.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = When, examples(json!({ "server": "running", "players": "empty", "defer": "2h" })))]
pub(crate) struct WhenDto {
    /// State that the server should be in. Absent: `running` for work that first stops or restarts the server, else `any`.
    #[schema(value_type = Option<words::ServerIs>)]
    server: Option<String>,
    /// Players that may be there. An unknown number counts as somebody. Absent: `any`.
    #[schema(value_type = Option<words::PlayersAre>)]
    players: Option<String>,
    /// For `players`: the time for which the run waits for them to leave, such as `2h`, before it is skipped.
    #[schema(max_length = 40)]
    defer: Option<String>,
}

/// The fields of work in a request.
pub(super) struct Parts {
    pub(super) action: Option<String>,
    pub(super) steps: Option<Vec<StepDto>>,
    pub(super) finally: Option<Vec<StepDto>>,
    pub(super) when: Option<Option<WhenDto>>,
    pub(super) overlap: Option<String>,
}

impl Parts {
    /// Reads what the request names; the rest stays as it is.
    pub(super) fn change(self) -> Result<WorkChange, Problem> {
        let Self { action, steps, finally, when, overlap } = self;
        let steps = match (action, steps) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid_value(
                    "action",
                    "is the short form of one step; send `action` or `steps`",
                ));
            }
            (Some(action), None) => Some(vec![Step::power(word("action", &action, Action::ALL, Action::as_str)?)]),
            (None, steps) => steps.map(|steps| read_all("steps", steps)).transpose()?,
        };
        let overlap = overlap.map(|overlap| word("overlap", &overlap, Overlap::ALL, Overlap::as_str));
        Ok(WorkChange {
            steps,
            finally: finally.map(|steps| read_all("finally", steps)).transpose()?,
            when: when.map(|when| when.map(WhenDto::read).transpose()).transpose()?,
            overlap: overlap.transpose()?,
        })
    }

    /// Reads work that is not stored yet; `None` if the request names nothing of it.
    pub(super) fn work(self) -> Result<Option<Work>, Problem> {
        let change = self.change()?;
        if change == WorkChange::default() {
            return Ok(None);
        }
        if change.steps.is_none() {
            return Err(Problem::invalid_value("steps", "is needed, or `action` for a single one"));
        }
        Ok(Some(change.apply(&Work::steps(vec![]))?))
    }
}

impl From<InvalidWork> for Problem {
    fn from(InvalidWork { field, rule }: InvalidWork) -> Self {
        Self::invalid_value(&field, rule)
    }
}

fn read_all(list: &str, steps: Vec<StepDto>) -> Result<Vec<Step>, Problem> {
    let read = |(place, step): (usize, StepDto)| step.read(&format!("{list}[{place}]"));
    // The rule about their number comes first, or the problem would name a step that is too much.
    steps.into_iter().enumerate().take(agis_scheduler::work::STEPS_MAX + 1).map(read).collect()
}

impl StepDto {
    fn read(self, at: &str) -> Result<Step, Problem> {
        let Self { deed, text, command, seconds, state, at_most, warn, on_error } = self;
        let needed = |field: &str| Problem::invalid_value(&format!("{at}.{field}"), format!("is needed for `{deed}`"));
        let mut given = vec![
            ("text", text.is_some()),
            ("command", command.is_some()),
            ("seconds", seconds.is_some()),
            ("state", state.is_some()),
            ("at_most", at_most.is_some()),
            ("warn", warn.is_some()),
        ];
        let span = |field: &str, text: String| {
            let span: Result<Span, InvalidSpan> = text.parse();
            span.map_err(|error| Problem::invalid_value(&format!("{at}.{field}"), error.to_string()))
        };
        let power = |action, text, warn: Option<Vec<String>>| {
            let ahead = warn.map(|times| times.into_iter().map(|time| span("warn", time)).collect()).transpose()?;
            Ok::<_, Problem>(Deed::Power {
                action,
                warning: ahead.map(|ahead| Warning { text, ..Warning::ahead(ahead) }),
            })
        };
        let (read, fields): (Deed, &[&str]) = match word(&format!("{at}.do"), &deed, DeedName::ALL, DeedName::as_str)? {
            DeedName::Say => (Deed::Say(text.ok_or_else(|| needed("text"))?), &["text"]),
            DeedName::Command => (Deed::Command(command.ok_or_else(|| needed("command"))?), &["command"]),
            DeedName::Wait => (Deed::Wait(Span::of_seconds(seconds.ok_or_else(|| needed("seconds"))?.0)), &["seconds"]),
            DeedName::WaitUntil => {
                let state = state.ok_or_else(|| needed("state"))?;
                let state = word(&format!("{at}.state"), &state, Awaited::ALL, Awaited::as_str)?;
                let at_most = span("at_most", at_most.ok_or_else(|| needed("at_most"))?)?;
                (Deed::WaitUntil { state, at_most }, &["state", "at_most"])
            }
            DeedName::Start => (power(Action::Start, None, None)?, &[]),
            DeedName::Stop | DeedName::Restart if warn.is_none() => {
                (power(if deed == "stop" { Action::Stop } else { Action::Restart }, None, None)?, &[])
            }
            DeedName::Stop => (power(Action::Stop, text, warn)?, &["warn", "text"]),
            DeedName::Restart => (power(Action::Restart, text, warn)?, &["warn", "text"]),
        };
        given.retain(|(field, is_given)| *is_given && !fields.contains(field));
        if let Some((field, _)) = given.first() {
            return Err(Problem::invalid_value(&format!("{at}.{field}"), format!("is not for `{deed}`")));
        }
        let on_error = on_error.map(|text| word(&format!("{at}.on_error"), &text, OnError::ALL, OnError::as_str));
        Ok(Step { deed: read, on_error: on_error.transpose()?.unwrap_or_default() })
    }

    fn of(deed: &Deed, on_error: OnError) -> Self {
        let mut dto = Self { deed: deed.name().to_string(), ..Self::default() };
        match deed {
            Deed::Say(text) => dto.text = Some(text.clone()),
            Deed::Command(command) => dto.command = Some(command.clone()),
            Deed::Wait(time) => dto.seconds = u32::try_from(time.duration().as_secs()).ok().map(Number),
            Deed::WaitUntil { state, at_most } => {
                (dto.state, dto.at_most) = (Some(state.to_string()), Some(at_most.to_string()));
            }
            Deed::Power { warning: None, .. } => {}
            Deed::Power { warning: Some(warning), .. } => {
                dto.warn = Some(warning.ahead.iter().map(ToString::to_string).collect());
                dto.text.clone_from(&warning.text);
            }
        }
        dto.on_error = (on_error != OnError::default()).then(|| on_error.to_string());
        dto
    }
}

impl WhenDto {
    fn read(self) -> Result<WhenChange, Problem> {
        let Self { server, players, defer } = self;
        let server = server.map(|text| word("when.server", &text, ServerIs::ALL, ServerIs::as_str)).transpose()?;
        let players =
            players.map(|text| word("when.players", &text, PlayersAre::ALL, PlayersAre::as_str)).transpose()?;
        let defer: Option<Result<Span, InvalidSpan>> = defer.map(|text| text.parse());
        let defer = defer.transpose().map_err(|error| Problem::invalid_value("when.defer", error.to_string()))?;
        Ok(WhenChange { server, players: players.unwrap_or_default(), defer })
    }
}

impl From<When> for WhenDto {
    fn from(When { server, players, defer }: When) -> Self {
        let (server, players) = (Some(server.to_string()), Some(players.to_string()));
        Self { server, players, defer: defer.map(|defer| defer.to_string()) }
    }
}

/// Reads a word of a body.
fn word<T: Copy>(field: &str, text: &str, all: &[T], as_str: impl Fn(T) -> &'static str) -> Result<T, Problem> {
    all.iter().copied().find(|value| as_str(*value) == text).ok_or_else(|| {
        let words: Vec<_> = all.iter().map(|value| as_str(*value)).collect();
        Problem::invalid_value(field, format!("is one of: {}", words.join(", ")))
    })
}

/// The steps of work.
pub(super) fn shown(steps: &[Step]) -> Vec<StepDto> {
    steps.iter().map(|step| StepDto::of(&step.deed, step.on_error)).collect()
}

/// A run with its steps.
#[derive(Serialize, ToSchema)]
#[schema(as = RunWithSteps)]
pub(crate) struct RunWithStepsDto {
    #[serde(flatten)]
    run: RunDto,
    /// The steps, in their order. A `restart` with `warn` is preceded by its announcements and the waits between them.
    /// Empty before the run has begun.
    steps: Vec<StepRunDto>,
    /// Of a run on many servers: the run on each of them. Its own `slot` leads to its steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<PartDto>,
}

/// A run on one of many servers.
#[derive(Serialize, ToSchema)]
#[schema(as = RunOnServer)]
struct PartDto {
    #[schema(value_type = i32, minimum = 1)]
    server_id: ServerId,
    /// The name of the server today.
    name: String,
    /// `GET /schedules/{id}/runs/{slot}` with this slot shows its steps.
    #[schema(value_type = String, format = DateTime)]
    slot: Timestamp,
    #[schema(value_type = words::RunState)]
    state: &'static str,
    /// Why the run ended in this state.
    reason: Option<String>,
    /// Null while its turn is to come.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// Null while it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<PartRun> for PartDto {
    fn from(part: PartRun) -> Self {
        Self {
            server_id: part.server,
            name: part.name,
            slot: part.slot,
            state: part.state.as_str(),
            reason: part.reason,
            started_at: part.begun_at,
            ended_at: part.ended_at,
        }
    }
}

/// A step of a run.
#[derive(Serialize, ToSchema)]
#[schema(as = StepRun)]
struct StepRunDto {
    #[serde(flatten)]
    step: StepDto,
    /// Whether it follows however the others ended.
    finally: bool,
    #[serde(rename = "outcome")]
    #[schema(value_type = words::StepState)]
    state: &'static str,
    /// Why it ended so.
    reason: Option<String>,
    /// The operation of `start`, `stop` and `restart`, once it has begun.
    #[schema(value_type = Option<String>, format = "uuid")]
    operation_id: Option<OperationId>,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// The time by which a wait was lengthened, such as `15m`.
    postponed: Option<String>,
}

impl From<RunWithSteps> for RunWithStepsDto {
    fn from(RunWithSteps { run, steps, parts }: RunWithSteps) -> Self {
        let step = |run: StepRun| StepRunDto {
            step: StepDto::of(&run.step.deed, run.step.on_error),
            finally: run.step.finally,
            state: run.state.as_str(),
            operation_id: run
                .operation
                .filter(|_| run.started_at.is_some() && matches!(run.step.deed, Deed::Power { .. })),
            reason: run.reason,
            started_at: run.started_at,
            ended_at: run.ended_at,
            postponed: (run.postponed != Span::ZERO).then(|| run.postponed.to_string()),
        };
        let servers = parts.into_iter().map(PartDto::from).collect();
        Self { run: run.into(), steps: steps.into_iter().map(step).collect(), servers }
    }
}
