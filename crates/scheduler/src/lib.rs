//! When is work due?
//!
//! - [`chain`]: the steps of a run, one after the other (pure)
//! - [`cron`]: the expression, as crontab(5) means it
//! - [`occurrence`]: the walk over its instants (pure)
//! - [`schedule`]: a schedule as people know it
//! - [`firing`]: the fate of slots that have passed (pure)
//! - [`many`]: a run on every server that carries a label (pure)
//! - [`store`]: the promises of a database
//! - [`template`]: schedules with which people begin
//! - [`work`]: what a run does, and when it may begin
//! - [`service`]: the rules that both transports share

pub mod chain;
pub mod cron;
pub mod firing;
pub mod many;
pub mod occurrence;
pub mod schedule;
pub mod service;
pub mod store;
pub mod template;
pub mod work;

pub use agis_base::zone::{self, Zone};

pub use self::cron::{CronError, CronExpression, CronField};
pub use firing::{Firing, FiringId, PartRun, Run, RunState, RunWithSteps};
pub use occurrence::{Occurrences, Slot};
pub use schedule::{
    Action, MissedRunPolicy, NewSchedule, Schedule, ScheduleChange, Target, Timing, TimingError, Trigger, TriggerChange,
};
pub use service::{Schedules, SchedulesError};
pub use work::{Kind, Work};
