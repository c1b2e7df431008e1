//! Runs with steps are carried out, step by step.
//!
//! A run may be looked at by several processes at once, or be taken over from one that died. Nothing is done twice all
//! the same: a step is begun by a change of its row, its operation has an id that was chosen before, and so has its
//! command, which is noted before it is sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::{Reason, StoreError, UserId};
use agis_scheduler::{
    Action, FiringId, Kind, RunState,
    chain::{self, EndedBy, LOOK, Next, Progress, SERVER_STOPPED, StepRun, StepState},
    firing::SCHEDULER_UNAVAILABLE,
    service::why,
    store::{CalledOff, Chain, ChainStore, End, Mark},
    work::Deed,
};
use tokio::{sync::Mutex, task::JoinSet, time::timeout};

pub use self::{acts::Acts, gate::Gate};
use crate::{places::Places, scheduler::count};

mod acts;
mod gate;

/// Longest pause between two rounds: the safety net under lost notifications.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Shortest pause: operations are accepted and end in swarms.
pub const PAUSE: Duration = Duration::from_millis(250);
/// Longest round.
const ROUND: Duration = Duration::from_secs(5);
/// Runs that are carried on at a time. A command waits for its game, and must not hold up the others.
const AT_ONCE: usize = 16;
/// Runs of one owner that are carried on at a time, so that one whose games do not answer leaves places to others.
const OF_ONE_OWNER: usize = 4;
/// Time after which somebody else looks at a run that was taken, and that is not heard of again, since a process died. If it
/// lives, nothing is done twice all the same.
const LEASE: Duration = Duration::from_secs(12);
/// Pause before another look after a failure of the store.
const RETRY: Duration = Duration::from_secs(5);
/// Pause before another look at a run whose owner has no place left.
const LATER: Duration = Duration::from_millis(500);

/// Carries out runs with steps, round by round.
pub struct Chains {
    gate: Gate,
    runner: Arc<Runner>,
    going: Mutex<Going>,
}

struct Runner {
    store: Arc<dyn ChainStore>,
    acts: Arc<dyn Acts>,
}

/// Runs that are being carried on.
struct Going {
    tasks: JoinSet<()>,
    owners: Places<UserId>,
}

impl Going {
    /// Returns the number of free places, once there is one, or after [`PAUSE`].
    async fn free(&mut self) -> usize {
        if self.tasks.len() >= AT_ONCE {
            self.some_ends().await;
        }
        while self.tasks.try_join_next().is_some() {}
        AT_ONCE.saturating_sub(self.tasks.len())
    }

    /// Waits until the look at one of the runs has ended, or for [`PAUSE`].
    async fn some_ends(&mut self) {
        let _ = timeout(PAUSE, self.tasks.join_next()).await;
    }
}

impl Chains {
    /// Creates the loop over these runs, and the servers that they act on.
    pub fn new(store: Arc<dyn ChainStore>, acts: Arc<dyn Acts>) -> Self {
        let going = Going { tasks: JoinSet::new(), owners: Places::new(OF_ONE_OWNER) };
        let gate = Gate::new(store.clone(), acts.clone());
        Self { gate, runner: Arc::new(Runner { store, acts }), going: Mutex::new(going) }
    }

    /// Begins to carry on every run that is to be looked at, and those that are to be by the end of this look, for a while.
    /// Returns the time until the next one is.
    ///
    /// # Errors
    /// Fails if the store does; the next round goes on.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        let (mut going, began) = (self.going.lock().await, Instant::now());
        while began.elapsed() < ROUND {
            let free = going.free().await;
            if free == 0 {
                continue;
            }
            let taken = self.runner.store.take_chains(u32::try_from(free).unwrap_or(u32::MAX), LEASE).await?;
            if taken.is_empty() && !going.tasks.is_empty() {
                // A run may have its next step at once, behind a command.
                going.some_ends().await;
                continue;
            }
            if taken.is_empty() {
                return Ok(self.runner.store.until_next_look().await?.map(|wait| wait.max(PAUSE)));
            }
            let (begun, at_gate): (Vec<_>, Vec<_>) = taken.into_iter().partition(|chain| !chain.steps.is_empty());
            self.gate.decide(&at_gate).await;
            let (took, mut later) = (begun.len(), vec![]);
            for chain in begun {
                match going.owners.take(&chain.owner) {
                    None => later.push(chain.id),
                    Some(place) => {
                        let runner = self.runner.clone();
                        going.tasks.spawn(async move {
                            runner.carry_on(chain).await;
                            drop(place);
                        });
                    }
                }
            }
            if !later.is_empty() {
                self.runner.store.look_again(&later, LATER).await?;
            }
            if at_gate.is_empty() && later.len() == took {
                break;
            }
        }
        Ok(Some(PAUSE))
    }

    /// Waits for the runs that are being carried on.
    pub async fn drain(&self) {
        let mut going = self.going.lock().await;
        while going.tasks.join_next().await.is_some() {}
    }
}

impl Runner {
    async fn carry_on(&self, chain: Chain) {
        let id = chain.id;
        let done = if chain.ended_by.is_none() && chain::is_missed(&chain) {
            self.conclude(&chain, RunState::Missed, Some(SCHEDULER_UNAVAILABLE.to_owned())).await
        } else {
            self.step(chain).await
        };
        match done {
            Ok(()) => {}
            Err(StoreError::Refused(why)) => gate::refused(&*self.store, id, &why).await,
            Err(error) => {
                tracing::warn!(%error, schedule_id = id.schedule.0, "run waits for its next step");
                // If this fails too, its lease ends.
                let _ = self.store.look_again(&[id], RETRY).await;
            }
        }
    }

    /// Takes the steps of a run as far as they go now.
    async fn step(&self, mut chain: Chain) -> Result<(), StoreError> {
        loop {
            match chain::next(&chain.steps, chain.ended_by) {
                Next::End(End { state, reason }) => return self.conclude(&chain, state, reason).await,
                Next::Begin(place) => {
                    if !self.mark(&mut chain, place, StepState::Running, None).await? {
                        return Ok(());
                    }
                    chain.steps[place].started_at = Some(chain.now);
                }
                Next::Watch(place) => match self.progress(&chain, &chain.steps[place]).await? {
                    Progress::Goes(time) => return self.store.look_again(&[chain.id], time).await,
                    Progress::Spares => {
                        return self.conclude(&chain, RunState::Skipped, Some(SERVER_STOPPED.to_owned())).await;
                    }
                    Progress::Ended(state, reason) => {
                        if !self.mark(&mut chain, place, state, reason).await? {
                            return Ok(());
                        }
                        // The game may have been slow: other runs come first.
                        if matches!(chain.steps[place].step.deed, Deed::Say(_) | Deed::Command(_)) {
                            return self.store.look_again(&[chain.id], Duration::ZERO).await;
                        }
                    }
                },
            }
        }
    }

    /// Changes a step; `false` if somebody else has, or the run was ended: then it is looked at again.
    async fn mark(
        &self,
        chain: &mut Chain,
        place: usize,
        to: StepState,
        reason: Option<String>,
    ) -> Result<bool, StoreError> {
        let reason = reason.map(Reason::new);
        let from = &chain.steps[place];
        let announces = from.step.announces && to == StepState::Running;
        let announced = if announces { chain::ahead(&chain.steps, chain.now) } else { None };
        let mark = Mark { place, from, to, reason: reason.as_deref(), announced };
        let marked = self.store.mark_step(chain.id, &mark).await?;
        let step = &mut chain.steps[place];
        (step.state, step.reason) = (to, reason.map(|reason| reason.to_string()));
        Ok(marked)
    }

    async fn progress(&self, chain: &Chain, step: &StepRun) -> Result<Progress, StoreError> {
        if let Some(progress) = chain::wait(step, chain.facts, chain.now) {
            return Ok(progress);
        }
        match &step.step.deed {
            Deed::Power { action, .. } => self.acts.power(chain, step, *action).await,
            Deed::Say(_) | Deed::Command(_) => self.acts.send(chain, step).await,
            Deed::Wait(_) | Deed::WaitUntil { .. } => Ok(Progress::Goes(LOOK)),
        }
    }

    /// Ends a run, and tells those who expect its action if that does not follow.
    async fn conclude(&self, chain: &Chain, state: RunState, reason: Option<String>) -> Result<(), StoreError> {
        // A person who stops the server has done what was announced.
        let is_done = |action| action == Action::Stop && chain.ended_by == Some(EndedBy::Stop);
        let announced = chain::announced(&chain.steps).or_else(|| chain::announced_in_vain(&chain.steps));
        let Some(action) = announced.filter(|action| state != RunState::Succeeded && !is_done(*action)) else {
            return self.end(chain.id, state, reason).await;
        };
        // A failure may quote the console.
        let quotes = state == RunState::Failed;
        let why = reason.as_deref().filter(|_| !quotes).map_or("its run has failed", why);
        let (end, called_off) = (end(state, reason.clone()), CalledOff { action, why });
        if let Some(ended) = self.store.end_chain(chain.id, &end, Some(called_off)).await? {
            note(chain.id, ended, end.reason.as_deref());
            self.acts.call_off(chain, action).await;
        }
        Ok(())
    }

    async fn end(&self, id: FiringId, state: RunState, reason: Option<String>) -> Result<(), StoreError> {
        let end = end(state, reason);
        if let Some(ended) = self.store.end_chain(id, &end, None).await? {
            note(id, ended, end.reason.as_deref());
        }
        Ok(())
    }
}

/// Counts the end of a run, and logs it.
fn note(id: FiringId, (kind, state): (Kind, RunState), reason: Option<&str>) {
    count(kind, state, 1);
    let (schedule_id, slot) = (id.schedule.0, id.slot.to_rfc3339());
    if state == RunState::Missed {
        tracing::warn!(slots = 1, schedule_id, slot, "scheduled runs were missed");
    } else {
        tracing::info!(schedule_id, slot, %state, reason, "run of a schedule ended");
    }
}

fn end(state: RunState, reason: Option<String>) -> End {
    End { state, reason: reason.map(|reason| Reason::new(reason).to_string()) }
}
