//! Promises of a database. Every method is one whole decision; no transaction crosses these traits.

use std::time::Duration;

use agis_base::{Label, Once, OperationId, Reach, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::{
    chain::{Ahead, EndedBy, Facts, Postponement, StepRun, StepState},
    firing::{Firing, FiringId, Run, RunState, RunWithSteps},
    schedule::{Action, NewSchedule, Schedule, ScheduleChange, TimingError},
    work::{InvalidWork, Kind, Work},
};

/// Selects one page of a list of schedules, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// User who made the schedules or owns their servers.
    pub user: UserId,
    /// Servers within the caller's reach.
    pub reach: Reach,
    /// Only schedules of this server.
    pub server: Option<ServerId>,
    /// Only schedules of this kind.
    pub kind: Option<Kind>,
    /// Only schedules that are enabled (`true`) or disabled (`false`).
    pub enabled: Option<bool>,
    /// Whether those are left out that do nothing more: their server is gone, or their only run has ended.
    pub alive: bool,
    /// Last schedule of the previous page; `None` for the first page.
    pub after: Option<ScheduleId>,
    /// Maximum number of schedules in the page.
    pub limit: u32,
}

/// End of a request to delete a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The schedule is gone. These actions were announced to players, and do not follow.
    Gone(Vec<(ServerId, Action)>),
    /// The user has no such schedule.
    Unknown,
    /// A run of it has stopped its server, and starts it again.
    Acting,
}

/// Selects one page of a schedule's runs, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunsQuery {
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Slot of the last run of the previous page; `None` for the first page.
    pub before: Option<Timestamp>,
    /// Maximum number of runs in the page.
    pub limit: u32,
}

/// Maximum numbers of schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum per server.
    pub per_server: u32,
    /// Maximum per user who makes them. Schedules of deleted servers do not count.
    pub per_user: u32,
}

/// Stores schedules. A user's schedules are the ones that the user made, and all those of servers that the user owns.
#[async_trait]
pub trait ScheduleStore: Send + Sync {
    /// Adds a schedule. The first run counts from the database's now. The numbers of schedules of the user and the
    /// server are checked with both locked. Returns the existing schedule if the request has made it already.
    async fn create(&self, new: &NewSchedule, limits: Limits, once: Option<&Once>) -> Result<Schedule, WriteError>;

    /// Returns the present time by the database's clock, which decides what is due.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Returns a schedule of this user.
    async fn find(&self, user: &UserId, id: ScheduleId) -> Result<Option<Schedule>, StoreError>;

    /// Returns a page of a user's schedules, by id.
    async fn list(&self, query: &Query) -> Result<Vec<Schedule>, StoreError>;

    /// Changes a schedule by [`Schedule::changed`] with its row locked; `None` if the user has no such schedule. Due
    /// slots that nobody would look at any more get their rows by [`crate::firing::give_up`], those that were skipped ahead are
    /// planned again, and runs with steps that have done nothing yet are ended. The numbers of schedules are checked if it takes a place again.
    async fn change(
        &self,
        user: &UserId,
        id: ScheduleId,
        change: &ScheduleChange,
        limits: Limits,
    ) -> Result<Option<Schedule>, WriteError>;

    /// Removes a schedule and its history, unless one of its runs [`brings its server up`](crate::chain::brings_up). The
    /// channels of servers hear which announced actions do not follow.
    async fn delete(&self, user: &UserId, id: ScheduleId) -> Result<Deleted, StoreError>;

    /// Returns a page of a schedule's history.
    async fn runs(&self, id: ScheduleId, query: RunsQuery) -> Result<Vec<Run>, StoreError>;

    /// Returns the server of a schedule as a run would find it now, the time, and whether a run goes on. `None` if there is
    /// no such schedule.
    async fn outlook(&self, id: ScheduleId) -> Result<Option<Outlook>, StoreError>;

    /// Returns the number of servers that carry the label of a schedule now, and whether a run goes on. `None` if there is no
    /// such schedule, or it acts on one server.
    async fn breadth(&self, id: ScheduleId) -> Result<Option<Breadth>, StoreError>;

    /// Fires a schedule of steps, or for a label, now, beside its plan. Returns the slot of the run; `None` if there is no such schedule.
    async fn fire(&self, id: ScheduleId) -> Result<Option<FiringId>, StoreError>;

    /// Ends a run with steps that has not ended; `false` if there is none.
    async fn cancel(&self, id: FiringId) -> Result<bool, StoreError>;

    /// Returns a schedule of anybody.
    async fn any(&self, id: ScheduleId) -> Result<Option<Schedule>, StoreError>;

    /// Skips a run that is planned and not due, with a line in the history, and plans the next. `false` if the schedule has
    /// no such run.
    async fn skip(&self, id: FiringId) -> Result<bool, StoreError>;

    /// Lengthens the waits before the next actions of runs of one schedule by [`crate::chain::postponed`]. Returns the
    /// runs that are put off: the others have nothing ahead.
    async fn postpone(&self, ids: &[FiringId], wish: &Postponement) -> Result<Vec<(FiringId, Ahead)>, PostponeError>;

    /// Returns a run with its steps.
    async fn run(&self, id: FiringId) -> Result<Option<RunWithSteps>, StoreError>;
}

/// Reason why no run was put off.
#[derive(Debug, Error)]
pub enum PostponeError {
    /// No run has an action ahead that could be put off, or all have ended.
    #[error("nothing is ahead")]
    NothingAhead,
    /// The waits before those would be too long.
    #[error("too long")]
    TooLong,
    /// Somebody has put it off since the caller saw when it is due.
    #[error("put off already")]
    Already,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Selects one page of the runs on a server, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerRunsQuery {
    /// The server.
    pub server: ServerId,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Last run of the previous page; `None` for the first page.
    pub before: Option<FiringId>,
    /// Maximum number of runs in the page.
    pub limit: u32,
}

/// Run on a server, whoever made its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRun {
    /// The run.
    pub id: FiringId,
    /// User who made the schedule.
    pub actor: UserId,
    /// Label of the schedule, if the run is part of one on many servers.
    pub label: Option<Label>,
    /// Line of the history.
    pub run: Run,
}

/// Stop or restart that an open run has ahead on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAhead {
    /// The server.
    pub server: ServerId,
    /// The run.
    pub run: FiringId,
    /// User who made the schedule.
    pub actor: UserId,
    /// The action.
    pub ahead: Ahead,
}

/// Reads what schedules of anybody do on servers.
#[async_trait]
pub trait ServerRunStore: Send + Sync {
    /// Returns the next stop or restart of each of these servers by [`crate::chain::ahead`], where a run has one ahead.
    async fn ahead(&self, servers: &[ServerId]) -> Result<Vec<ServerAhead>, StoreError>;

    /// Returns a page of the runs on a server.
    async fn runs_on(&self, query: ServerRunsQuery) -> Result<Vec<ServerRun>, StoreError>;

    /// Returns the runs of these schedules that have not ended, the oldest of each.
    async fn open_runs(&self, schedules: &[ScheduleId]) -> Result<Vec<FiringId>, StoreError>;

    /// Returns those of these servers for which the user may make schedules now.
    async fn schedulable(&self, user: &UserId, servers: &[ServerId]) -> Result<Vec<ServerId>, StoreError>;
}

/// Server of a schedule as a run would find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// The server.
    pub facts: Facts,
    /// Present time, by the database's clock.
    pub now: Timestamp,
    /// Whether a run of the schedule has not ended.
    pub is_busy: bool,
    /// Whether somebody holds the server.
    pub is_held: bool,
}

/// Servers of a schedule for a label, as a run would find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breadth {
    /// Number of servers, up to one more than a run may act on.
    pub servers: usize,
    /// Whether a run of the schedule has not ended.
    pub is_busy: bool,
}

/// Reason why a schedule was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The timing cannot be used.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The work breaks a rule.
    #[error(transparent)]
    Work(#[from] InvalidWork),
    /// The server has the maximum number of schedules.
    #[error("too many schedules of a server")]
    TooMany,
    /// The user has made the maximum number of schedules.
    #[error("too many schedules of a user")]
    TooManyOfUser,
    /// There is no such server.
    #[error("no such server")]
    NoServer,
    /// The request made its schedule earlier, and somebody has deleted that since.
    #[error("made and deleted since")]
    Gone,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stores firings, for the loop that creates them and for the loop that turns them into operations.
#[async_trait]
pub trait FiringStore: Send + Sync {
    /// Returns the time until the nearest schedule is due, by the database's clock; zero if one is due already.
    async fn until_next(&self) -> Result<Option<Duration>, StoreError>;

    /// Claims up to `limit` due schedules: writes a row for every slot that has passed, by [`crate::firing::plan`], and
    /// advances `next_run`, in one transaction. Skips schedules that others are claiming.
    async fn claim_due(&self, limit: u32) -> Result<Claimed, StoreError>;

    /// Plans up to `limit` schedules again whose plan comes from older time zone data than this process has, due or
    /// not. As in [`Self::claim_due`], a slot that has passed by the new data gets its row.
    async fn plan_again(&self, limit: u32) -> Result<Claimed, StoreError>;

    /// Returns up to `limit` pending firings of one action without an operation, by slot. With `min_age`, only firings that were
    /// claimed at least that long ago, since their claimer may be gone.
    async fn unassigned(&self, min_age: Duration, limit: u32) -> Result<Vec<Firing>, StoreError>;

    /// Ends pending firings that became no operation within `age`: nobody wants them so late.
    async fn expire_unassigned(&self, age: Duration) -> Result<Vec<(Kind, RunState)>, StoreError>;

    /// Forgets up to `limit` runs that ended longer than `age` ago.
    async fn forget_runs(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Removes up to `limit` runs, then up to `limit` schedules without runs, of servers that were deleted longer than
    /// `age` ago; and up to `limit` schedules that fired once, longer than `age` ago.
    async fn forget_schedules(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Returns up to `limit` pending firings of one action behind `after`, with the ids of their operations.
    async fn in_progress(
        &self,
        after: Option<FiringId>,
        limit: u32,
    ) -> Result<Vec<(FiringId, OperationId)>, StoreError>;

    /// Ends firings. Returns the ones that were not ended before, so that each is counted once.
    async fn finish(&self, ends: &[(FiringId, End)]) -> Result<Vec<(Kind, RunState)>, StoreError>;

    /// Returns the words of waiting rows that a newer program wrote and this one does not know, with the number of
    /// rows. Claims skip such rows.
    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// Returns the number of enabled schedules.
    async fn active(&self) -> Result<i64, StoreError>;
}

/// Result of a claim.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// Number of schedules that were looked at, up to the limit.
    pub schedules: usize,
    /// Firings to turn into operations, with their lateness, by slot: the newest has the last word.
    pub firings: Vec<(Firing, Duration)>,
    /// Slots that do not run: kind, state and number.
    pub ended: Vec<(Kind, RunState, i64)>,
}

/// End of a firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Not [`RunState::Pending`].
    pub state: RunState,
    /// Reason, unless the firing succeeded.
    pub reason: Option<String>,
}

/// Action that was announced, and does not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalledOff<'a> {
    /// The action.
    pub action: Action,
    /// Reason for people. It quotes no console.
    pub why: &'a str,
}

/// Stores runs with steps, for the loop that carries them out. The loop may run in any number of processes: each change
/// of a step names the state that it had, and a change that comes too late changes nothing.
#[async_trait]
pub trait ChainStore: Send + Sync {
    /// Returns the time until a run is to be looked at, by the database's clock.
    async fn until_next_look(&self) -> Result<Option<Duration>, StoreError>;

    /// Takes up to `limit` runs that are to be looked at: their time has come, or it comes within [`crate::chain::LOOK`] and the
    /// operation of their step has ended. Nobody else takes them for `lease`, but those of the second kind for [`crate::chain::LOOK`] less.
    async fn take_chains(&self, limit: u32, lease: Duration) -> Result<Vec<Chain>, StoreError>;

    /// Returns those of these runs that have not ended.
    async fn chains(&self, ids: &[FiringId]) -> Result<Vec<Chain>, StoreError>;

    /// Carries out what the gate decided about these runs, none of which has begun. A run that was to begin is looked at again
    /// after [`crate::chain::SOON`] if it has begun or ended already, if another one of its schedule has begun, or something was
    /// asked of its server, since it was read, or if somebody holds a row of it: nobody is waited for. Returns the ends of those
    /// that ended.
    async fn pass_gate(&self, decided: &[(&Chain, Entry)]) -> Result<Vec<(Kind, RunState)>, StoreError>;

    /// Changes a step. It begins or ends by the database's clock. `false` if it is not as it was, or its run has ended.
    async fn mark_step(&self, id: FiringId, mark: &Mark<'_>) -> Result<bool, StoreError>;

    /// Looks at these runs again after this time.
    async fn look_again(&self, ids: &[FiringId], after: Duration) -> Result<(), StoreError>;

    /// Ends a run that an earlier run of its schedule keeps, or that nobody may begin, for this cause; the loop carries
    /// that out at once.
    async fn interrupt(&self, id: FiringId, by: EndedBy) -> Result<bool, StoreError>;

    /// Ends a run. Steps that have not ended are skipped. The channel of the server hears what is called off. `None` if it had
    /// ended before.
    async fn end_chain(
        &self,
        id: FiringId,
        end: &End,
        called_off: Option<CalledOff<'_>>,
    ) -> Result<Option<(Kind, RunState)>, StoreError>;
}

/// Stores runs on many servers, for the loop that carries them on in any number of processes.
#[async_trait]
pub trait ManyStore: Send + Sync {
    /// Returns the time until a run is to be looked at, by the database's clock.
    async fn until_next_many(&self) -> Result<Option<Duration>, StoreError>;

    /// Returns up to `limit` runs that are to be looked at, the longest due first.
    async fn due_many(&self, limit: u32) -> Result<Vec<FiringId>, StoreError>;

    /// Takes one step of a run by [`crate::many::next`], with its row locked: chooses its servers, lets the next of them
    /// begin, or ends it. Does nothing while another process does it. Returns its end, if that has come.
    async fn advance_many(&self, id: FiringId) -> Result<Option<(Kind, RunState)>, StoreError>;

    /// Looks at a run again after this time: one that this program cannot read must not stand before the others.
    async fn put_off_many(&self, id: FiringId, after: Duration) -> Result<(), StoreError>;

    /// Ends a run that cannot go on, and its runs on the servers. `None` if it had ended before.
    async fn give_up_many(&self, id: FiringId, end: &End) -> Result<Option<(Kind, RunState)>, StoreError>;
}

/// Fate of a run at the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The run begins.
    Begins(Beginning),
    /// The run ends without having begun.
    Ends(End),
    /// The gate is asked again after this time.
    Waits(Duration),
}

/// Beginning of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Steps of the run. The first may run already; that begins by the database's clock.
    pub steps: Vec<StepRun>,
    /// Action that the server's channel in Discord hears of, if it has one.
    pub announced: Option<Ahead>,
    /// Time until the first step is looked at.
    pub look: Duration,
}

/// Change of a step.
#[derive(Debug, Clone)]
pub struct Mark<'a> {
    /// Place of the step.
    pub place: usize,
    /// Step as it was.
    pub from: &'a StepRun,
    /// New state.
    pub to: StepState,
    /// Reason of its end.
    pub reason: Option<&'a str>,
    /// Action that the server's channel in Discord hears of, if it has one.
    pub announced: Option<Ahead>,
}

/// Run with steps, as the loop sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The run.
    pub id: FiringId,
    /// Server to act on.
    pub server: ServerId,
    /// User in whose name it acts.
    pub owner: UserId,
    /// Work of its schedule, today.
    pub work: Work,
    /// Steps of the run; none before it has begun.
    pub steps: Vec<StepRun>,
    /// Cause that ends it.
    pub ended_by: Option<EndedBy>,
    /// Runs of its schedule that have not ended, oldest first: those of earlier slots, and those that have begun.
    pub earlier: Vec<FiringId>,
    /// Server as it is.
    pub facts: Facts,
    /// Number of changes of what was asked of the server.
    pub generation: i64,
    /// Time at which it was claimed, or, if it is part of one on many servers, got its turn.
    pub since: Timestamp,
    /// Present time, by the database's clock.
    pub now: Timestamp,
}
