//! A store of runs, and one server, in memory, with a clock that the test sets.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use agis_automation::{Acts, Chains};
use agis_base::{OperationId, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use agis_scheduler::{
    Action, FiringId, Kind, RunState, Work,
    chain::{EndedBy, Facts, LOOK, Progress, SOON, StepRun, StepState},
    store::{Beginning, CalledOff, Chain, ChainStore, End, Entry, Mark},
    work::{Deed, ServerIs},
};
use async_trait::async_trait;

use super::{
    Event, Stage,
    faults::{Faults, Faulty},
    model::Seen,
};

struct Row {
    seen: Seen,
    since: Timestamp,
    look_at: Option<Timestamp>,
}

impl Row {
    fn is_open(&self) -> bool {
        self.seen.state == RunState::Pending
    }

    fn goes_on(&self) -> bool {
        self.is_open() && self.seen.ended_by.is_none()
    }
}

struct World {
    work: Work,
    now: Timestamp,
    runs: Vec<Row>,
    /// Operations with their actions; `None` while one is under way.
    operations: HashMap<OperationId, (Action, Option<bool>)>,
    should_run: bool,
    generation: i64,
    is_held: bool,
    players: Option<u32>,
    enabled: bool,
}

#[derive(Clone)]
pub(super) struct Memory(Arc<Mutex<World>>);

impl Memory {
    pub(super) fn new(work: &Work) -> Self {
        Self(Arc::new(Mutex::new(World {
            work: work.clone(),
            now: "2026-01-01T04:00:00Z".parse().expect("a time"),
            runs: vec![],
            operations: HashMap::new(),
            should_run: true,
            generation: 1,
            is_held: false,
            players: Some(0),
            enabled: true,
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("a world")
    }
}

impl World {
    fn run(&mut self, id: FiringId) -> Option<&mut Row> {
        self.runs.iter_mut().find(|row| row.seen.slot == id.slot)
    }

    fn interrupt(&mut self, by: EndedBy, which: impl Fn(&Row) -> bool) {
        let now = self.now;
        for row in self.runs.iter_mut().filter(|row| row.goes_on() && which(row)) {
            (row.seen.ended_by, row.look_at) = (Some(by), Some(now));
        }
    }

    fn facts(&self) -> Facts {
        let is_busy = self.operations.values().any(|(_, end)| end.is_none());
        let Self { should_run, players, .. } = *self;
        Facts { should_run, is_ready: should_run && !is_busy, is_stopped: !should_run && !is_busy, players }
    }

    /// Returns whether an operation of a running step has ended.
    fn has_news(&self, row: &Row) -> bool {
        let running = row.seen.steps.iter().find(|step| step.state == StepState::Running);
        let operation = running.and_then(|step| self.operations.get(&step.operation?));
        operation.is_some_and(|(_, end)| end.is_some())
    }

    fn chain(&self, row: &Row) -> Chain {
        let id = |slot| FiringId { schedule: ScheduleId(1), slot };
        let is_ahead = |other: &&Row| {
            other.is_open()
                && other.seen.slot != row.seen.slot
                && (other.seen.slot < row.seen.slot || other.seen.has_begun)
        };
        Chain {
            id: id(row.seen.slot),
            server: ServerId(1),
            owner: UserId::from_stored("1"),
            work: self.work.clone(),
            steps: row.seen.steps.clone(),
            ended_by: row.seen.ended_by,
            earlier: self.runs.iter().filter(is_ahead).map(|row| id(row.seen.slot)).collect(),
            facts: self.facts(),
            generation: self.generation,
            since: row.since,
            now: self.now,
        }
    }

    fn begin(&mut self, chain: &Chain, beginning: &Beginning) -> bool {
        let goes_on = |row: &Row| row.is_open() && row.seen.has_begun && row.seen.slot != chain.id.slot;
        let may = self.generation == chain.generation && !self.is_held && !self.runs.iter().any(goes_on);
        let now = self.now;
        let Some(row) = self.run(chain.id).filter(|row| may && row.goes_on() && !row.seen.has_begun) else {
            return false;
        };
        (row.seen.has_begun, row.look_at) = (true, Some(now + beginning.look));
        row.seen.steps.clone_from(&beginning.steps);
        for step in row.seen.steps.iter_mut().filter(|step| step.state == StepState::Running) {
            step.started_at = Some(now);
        }
        true
    }

    fn look_again(&mut self, id: FiringId, after: Duration) {
        let at = self.now + after;
        if let Some(row) = self.run(id).filter(|row| row.goes_on()) {
            row.look_at = Some(at);
        }
    }

    fn end(&mut self, id: FiringId, end: &End) -> Option<(Kind, RunState)> {
        let now = self.now;
        let row = self.run(id).filter(|row| row.is_open())?;
        (row.seen.state, row.seen.reason, row.look_at) = (end.state, end.reason.clone(), None);
        let open = |step: &&mut StepRun| matches!(step.state, StepState::Waiting | StepState::Running);
        for step in row.seen.steps.iter_mut().filter(open) {
            (step.state, step.ended_at) = (StepState::Skipped, Some(now));
        }
        Some((Kind::Steps, end.state))
    }

    /// Returns the run in which a step acts that goes on.
    fn acting(&mut self, chain: &Chain, step: &StepRun) -> Option<&mut Row> {
        let row = self.run(chain.id).filter(|row| row.goes_on())?;
        let goes_on = |other: &StepRun| other.operation == step.operation && other.state == StepState::Running;
        row.seen.steps.iter().any(goes_on).then_some(row)
    }
}

#[async_trait]
impl ChainStore for Memory {
    async fn until_next_look(&self) -> Result<Option<Duration>, StoreError> {
        let world = self.world();
        let next = world.runs.iter().filter(|row| row.is_open()).filter_map(|row| row.look_at).min();
        Ok(next.map(|next| (next - world.now).to_std().unwrap_or_default()))
    }

    async fn take_chains(&self, limit: u32, lease: Duration) -> Result<Vec<Chain>, StoreError> {
        let mut world = self.world();
        let is_due = |row: &&Row| {
            row.is_open()
                && (row.look_at <= Some(world.now) || world.has_news(row) && row.look_at <= Some(world.now + LOOK))
        };
        let due = world.runs.iter().filter(is_due).take(limit as usize);
        let chains: Vec<_> = due.map(|row| world.chain(row)).collect();
        let until = world.now + lease;
        for chain in &chains {
            world.run(chain.id).expect("a run").look_at = Some(until);
        }
        Ok(chains)
    }

    async fn chains(&self, ids: &[FiringId]) -> Result<Vec<Chain>, StoreError> {
        let world = self.world();
        let asked = |row: &&Row| row.is_open() && ids.iter().any(|id| id.slot == row.seen.slot);
        Ok(world.runs.iter().filter(asked).map(|row| world.chain(row)).collect())
    }

    async fn pass_gate(&self, decided: &[(&Chain, Entry)]) -> Result<Vec<(Kind, RunState)>, StoreError> {
        let (mut world, mut ended) = (self.world(), vec![]);
        for (chain, entry) in decided {
            let id = chain.id;
            match entry {
                Entry::Begins(beginning) if world.begin(chain, beginning) => {}
                Entry::Begins(_) => world.look_again(id, SOON),
                Entry::Waits(time) => world.look_again(id, *time),
                Entry::Ends(end) => {
                    let waits = world.run(id).is_some_and(|row| !row.seen.has_begun);
                    ended.extend(if waits { world.end(id, end) } else { None });
                }
            }
        }
        Ok(ended)
    }

    async fn mark_step(&self, id: FiringId, mark: &Mark<'_>) -> Result<bool, StoreError> {
        let mut world = self.world();
        let now = world.now;
        let Some(row) = world.run(id).filter(|row| row.goes_on()) else { return Ok(false) };
        let step = &mut row.seen.steps[mark.place];
        if (step.state, step.postponed) != (mark.from.state, mark.from.postponed) {
            return Ok(false);
        }
        (step.state, step.reason) = (mark.to, mark.reason.map(ToOwned::to_owned));
        match mark.to {
            StepState::Running => step.started_at = Some(now),
            _ => step.ended_at = Some(now),
        }
        Ok(true)
    }

    async fn look_again(&self, ids: &[FiringId], after: Duration) -> Result<(), StoreError> {
        let mut world = self.world();
        ids.iter().for_each(|id| world.look_again(*id, after));
        Ok(())
    }

    async fn interrupt(&self, id: FiringId, by: EndedBy) -> Result<bool, StoreError> {
        self.world().interrupt(by, |row| row.seen.slot == id.slot);
        Ok(true)
    }

    async fn end_chain(
        &self,
        id: FiringId,
        end: &End,
        _: Option<CalledOff<'_>>,
    ) -> Result<Option<(Kind, RunState)>, StoreError> {
        Ok(self.world().end(id, end))
    }
}

#[async_trait]
impl Acts for Memory {
    async fn refusals(&self, chains: &[Chain]) -> Result<Vec<Option<&'static str>>, StoreError> {
        let is_held = self.world().is_held;
        Ok(chains.iter().map(|_| is_held.then_some("held")).collect())
    }

    async fn power(&self, chain: &Chain, step: &StepRun, action: Action) -> Result<Progress, StoreError> {
        let mut world = self.world();
        let id = step.operation.expect("an id");
        if let Some((_, end)) = world.operations.get(&id) {
            return Ok(match end {
                None => Progress::Goes(LOOK),
                Some(true) => Progress::Ended(StepState::Succeeded, None),
                Some(false) => Progress::Ended(StepState::Failed, Some("it broke".into())),
            });
        }
        let should_run = world.should_run;
        let Some(row) = world.acting(chain, step) else {
            return Ok(Progress::Ended(StepState::Failed, Some("overtaken".into())));
        };
        let has_acted = row
            .seen
            .steps
            .iter()
            .any(|step| matches!(step.step.deed, Deed::Power { .. }) && step.state == StepState::Succeeded);
        let spares = chain.work.when().server == ServerIs::Running && action != Action::Start && !has_acted;
        if spares && !should_run {
            return Ok(Progress::Spares);
        }
        *row.seen.acts.entry(id).or_default() += 1;
        world.operations.insert(id, (action, None));
        (world.should_run, world.generation) = (action != Action::Stop, world.generation + 1);
        Ok(Progress::Goes(LOOK))
    }

    async fn send(&self, chain: &Chain, step: &StepRun) -> Result<Progress, StoreError> {
        let mut world = self.world();
        let id = step.operation.expect("an id");
        let done = Progress::Ended(StepState::Succeeded, None);
        if world.run(chain.id).is_some_and(|row| row.seen.acts.contains_key(&id)) {
            return Ok(done);
        }
        let Some(row) = world.acting(chain, step) else {
            return Ok(Progress::Ended(StepState::Failed, Some("its run has ended".into())));
        };
        *row.seen.acts.entry(id).or_default() += 1;
        Ok(done)
    }

    async fn call_off(&self, _: &Chain, _: Action) {}
}

impl Stage for Memory {
    fn process(&self, faults: &Arc<Faults>) -> Chains {
        let faulty = Arc::new(Faulty { inner: Arc::new(self.clone()), faults: faults.clone() });
        Chains::new(faulty.clone(), faulty)
    }

    async fn pause(&self) {
        tokio::task::yield_now().await;
    }

    async fn happen(&self, event: &Event) {
        let mut guard = self.world();
        let world = &mut *guard;
        let last = world.runs.last().map(|row| row.seen.slot);
        match *event {
            Event::Pass(seconds) => world.now += Duration::from_secs(seconds.into()),
            Event::Fire(late) => {
                world.now += Duration::from_micros(1);
                let slot = world.now - Duration::from_secs(if late { 3600 } else { 0 });
                let seen = Seen {
                    slot,
                    state: RunState::Pending,
                    reason: None,
                    has_begun: false,
                    ended_by: None,
                    steps: vec![],
                    acts: BTreeMap::new(),
                };
                world.runs.push(Row { seen, since: world.now, look_at: Some(world.now) });
            }
            Event::Operations(well) => {
                world.operations.values_mut().filter(|(_, end)| end.is_none()).for_each(|(_, end)| *end = Some(well));
            }
            Event::Cancel(by) => world.interrupt(by, |row| Some(row.seen.slot) == last),
            Event::Stop => {
                (world.should_run, world.generation) = (false, world.generation + 1);
                world.operations.values_mut().filter(|(_, end)| end.is_none()).for_each(|(_, end)| *end = Some(false));
                world.interrupt(EndedBy::Stop, |_| true);
            }
            Event::Start if !world.should_run => {
                (world.should_run, world.generation) = (true, world.generation + 1);
            }
            Event::Hold(is_held) => {
                world.is_held = is_held;
                if is_held {
                    world.interrupt(EndedBy::Hold, |_| true);
                }
            }
            Event::Disable if world.enabled => {
                world.enabled = false;
                world.interrupt(EndedBy::Changed, |row| !row.seen.has_begun);
            }
            Event::Players(players) => world.players = players,
            _ => {}
        }
    }

    async fn runs(&self) -> Vec<Seen> {
        self.world().runs.iter().map(|row| row.seen.clone()).collect()
    }
}
