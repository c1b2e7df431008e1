//! What a database promises. Every method is one whole decision; no transaction crosses these traits.

use std::time::Duration;

use agis_base::{Once, OperationId, Reach, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::{
    firing::{Firing, FiringId, Run, RunState},
    schedule::{Action, NewSchedule, Schedule, ScheduleChange, TimingError},
};

/// Which schedules, and which piece of their list: at most `limit` behind the one that `after` names, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Made by this user, or by anybody for a server of theirs.
    pub user: UserId,
    /// Of servers within this reach.
    pub reach: Reach,
    /// Of this server only.
    pub server: Option<ServerId>,
    /// That do this only.
    pub action: Option<Action>,
    /// That fire, or that do not, only.
    pub enabled: Option<bool>,
    /// The last schedule of the piece before.
    pub after: Option<ScheduleId>,
    /// How many.
    pub limit: u32,
}

/// Which runs of a schedule, and which piece of their list: at most `limit` from before `before`, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunsQuery {
    /// In this state only.
    pub state: Option<RunState>,
    /// The slot of the last run of the piece before.
    pub before: Option<Timestamp>,
    /// How many.
    pub limit: u32,
}

/// How many schedules there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one server.
    pub per_server: u32,
    /// Made by one user. Those of deleted servers do not count.
    pub per_user: u32,
}

/// Schedules as rows. A user has those that they made, and those that anybody made for a server of theirs.
#[async_trait]
pub trait ScheduleStore: Send + Sync {
    /// Adds a schedule; the first run is counted from the database's now. The numbers of schedules of the user and the
    /// server are checked with both locked. A request that has made its schedule already is answered with it.
    async fn create(&self, new: &NewSchedule, limits: Limits, once: Option<&Once>) -> Result<Schedule, WriteError>;

    /// A schedule of this user.
    async fn find(&self, user: &UserId, id: ScheduleId) -> Result<Option<Schedule>, StoreError>;

    /// A user's schedules, by id.
    async fn list(&self, query: &Query) -> Result<Vec<Schedule>, StoreError>;

    /// Changes a schedule by [`Schedule::changed`] with its row locked; `None` where the user has no such schedule. Slots
    /// that are due and would not be looked at any more get their rows by [`crate::firing::give_up`].
    async fn change(
        &self,
        user: &UserId,
        id: ScheduleId,
        change: &ScheduleChange,
    ) -> Result<Option<Schedule>, WriteError>;

    /// Removes a schedule and its history; false where the user has no such schedule.
    async fn delete(&self, user: &UserId, id: ScheduleId) -> Result<bool, StoreError>;

    /// A schedule's history.
    async fn runs(&self, id: ScheduleId, query: RunsQuery) -> Result<Vec<Run>, StoreError>;
}

/// Why a schedule was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The timing cannot be used.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The server has as many schedules as allowed.
    #[error("too many schedules of a server")]
    TooMany,
    /// The user has made as many as allowed.
    #[error("too many schedules of a user")]
    TooManyOfUser,
    /// There is no such server.
    #[error("no such server")]
    NoServer,
    /// The request has made its schedule already, which was deleted since.
    #[error("made and deleted since")]
    Gone,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Firings, seen from the loop that makes them and from those who turn them into operations.
#[async_trait]
pub trait FiringStore: Send + Sync {
    /// How long until the nearest schedule is due, by the database's clock; zero where one is due already.
    async fn until_next(&self) -> Result<Option<Duration>, StoreError>;

    /// Claims up to `limit` due schedules: writes a row for every slot that has passed, by [`crate::firing::plan`], and
    /// moves `next_run` on, in one transaction. What others are claiming is passed over.
    async fn claim_due(&self, limit: u32) -> Result<Claimed, StoreError>;

    /// Plans up to `limit` schedules again that were planned by older time zone data than this process has, as
    /// [`Self::claim_due`] does: a slot that has passed by the new data gets its row. They may be due or not.
    async fn plan_again(&self, limit: u32) -> Result<Claimed, StoreError>;

    /// Up to `limit` pending firings that have not become their operations yet, by slot. With `min_age`, only
    /// those claimed at least that long ago: whoever claimed them may be gone.
    async fn unassigned(&self, min_age: Duration, limit: u32) -> Result<Vec<Firing>, StoreError>;

    /// Ends pending firings that became no operation within `age`: what is so late is not wanted any more.
    async fn expire_unassigned(&self, age: Duration) -> Result<Vec<(Action, RunState)>, StoreError>;

    /// Forgets up to `limit` runs that ended longer than `age` ago.
    async fn forget_runs(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Removes up to `limit` runs, then up to `limit` schedules without runs, of servers that were deleted longer than `age`
    /// ago.
    async fn forget_schedules(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Up to `limit` pending firings behind `after`, with the operations that they become or have become.
    async fn in_progress(
        &self,
        after: Option<FiringId>,
        limit: u32,
    ) -> Result<Vec<(FiringId, OperationId)>, StoreError>;

    /// Ends firings; answers with those for which this is news, so that each is counted once.
    async fn finish(&self, ends: &[(FiringId, End)]) -> Result<Vec<(Action, RunState)>, StoreError>;

    /// What waits here and holds a word that this program does not know, since a newer one has written it: the words, and how
    /// many rows have them. Whoever claims passes such a row over.
    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// How many schedules are enabled.
    async fn active(&self) -> Result<i64, StoreError>;
}

/// What a claim has brought.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// How many schedules were looked at, up to the limit.
    pub schedules: usize,
    /// The firings to turn into operations, with their lateness, by slot: the newest has the last word.
    pub firings: Vec<(Firing, Duration)>,
    /// The slots that do not run: whose action, what became of them, and how many.
    pub ended: Vec<(Action, RunState, i64)>,
}

/// How a firing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Not [`RunState::Pending`].
    pub state: RunState,
    /// Why, where it did not succeed.
    pub reason: Option<String>,
}
