//! Runs with steps under random faults, beside a small model of what is allowed: no step twice, none lost, each after the
//! one before; and a run that a person ends starts nothing afterwards.

mod database;
mod faults;
mod memory;
mod model;

use std::{cell::Cell, time::Instant};

use agis_automation::Chains;
use agis_scheduler::{
    Work,
    chain::EndedBy,
    work::{Awaited, Deed, OnError, Overlap, PlayersAre, ServerIs, Step, When},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestError, TestRunner},
};
use tokio::runtime::Runtime;

use self::{
    database::Database,
    faults::{Fault, Faults},
    memory::Memory,
    model::Model,
};

/// World in which runs are carried out.
trait Stage {
    /// Gives a process its way to the store and to the servers.
    fn process(&self, faults: &std::sync::Arc<Faults>) -> Chains;

    /// Lets the tasks of all processes go on for a moment.
    async fn pause(&self);

    /// Does what happens outside of the processes.
    async fn happen(&self, event: &Event);

    /// Returns all runs as they are, oldest first.
    async fn runs(&self) -> Vec<model::Seen>;
}

#[derive(Debug, Clone)]
enum Event {
    /// A process of the two looks for runs, and this befalls its calls of the store and of the servers.
    Round(usize, Vec<Fault>),
    /// A process dies where it is, and another one takes its place.
    Kill(usize),
    /// A process goes on whose calls hung.
    Resume(usize),
    /// Seconds pass.
    Pass(u32),
    /// The schedule fires; also for a slot of an hour ago.
    Fire(bool),
    /// The operations under way end, well or not.
    Operations(bool),
    /// A person, or the next run, ends the latest run.
    Cancel(EndedBy),
    /// A person stops the server.
    Stop,
    /// A person starts the server.
    Start,
    /// A person holds the server, or releases it.
    Hold(bool),
    /// The schedule is disabled.
    Disable,
    /// So many people play.
    Players(Option<u32>),
}

fn deeds() -> impl Strategy<Value = Deed> {
    let time = |seconds| agis_base::Span::of_seconds(seconds);
    prop_oneof![
        Just(Deed::Say("hi".into())),
        Just(Deed::Command("save".into())),
        (1_u32..90).prop_map(move |seconds| Deed::Wait(time(seconds))),
        (select(Awaited::ALL), 1_u32..90)
            .prop_map(move |(state, seconds)| Deed::WaitUntil { state, at_most: time(seconds) }),
        select(agis_scheduler::Action::ALL).prop_map(|action| Deed::Power { action, warning: None }),
    ]
}

fn works() -> impl Strategy<Value = Work> {
    let step = || (deeds(), select(OnError::ALL)).prop_map(|(deed, on_error)| Step { deed, on_error });
    let defer = proptest::option::of(Just(agis_base::Span::of_seconds(60)));
    let when = (select(ServerIs::ALL), select(PlayersAre::ALL), defer).prop_map(|(server, players, defer)| When {
        server,
        players,
        defer: defer.filter(|_| players == PlayersAre::Empty),
    });
    (vec(step(), 1..5), vec(step(), 0..3), proptest::option::weighted(0.5, when), select(Overlap::ALL)).prop_map(
        |(steps, finally, when, overlap)| {
            let work = Work { steps, finally, when, overlap };
            // A single action is no run of steps.
            let when = work.when.or_else(|| work.action().map(|_| work.usual()));
            Work { when, ..work }
        },
    )
}

fn events() -> impl Strategy<Value = Event> {
    let faults = vec(select(Fault::ALL), 0..8);
    prop_oneof![
        12 => (0_usize..2, prop_oneof![Just(vec![]), faults]).prop_map(|(process, faults)| Event::Round(process, faults)),
        2 => (0_usize..2).prop_map(Event::Kill),
        2 => (0_usize..2).prop_map(Event::Resume),
        6 => select(&[1_u32, 5, 31, 61, 100, 400][..]).prop_map(Event::Pass),
        2 => proptest::bool::weighted(0.2).prop_map(Event::Fire),
        4 => proptest::bool::weighted(0.8).prop_map(Event::Operations),
        1 => select(&[EndedBy::Cancel, EndedBy::Replaced][..]).prop_map(Event::Cancel),
        1 => Just(Event::Stop),
        1 => Just(Event::Start),
        1 => any::<bool>().prop_map(Event::Hold),
        1 => Just(Event::Disable),
        2 => select(&[None, Some(0), Some(3)][..]).prop_map(Event::Players),
    ]
}

/// Processes whose runs are watched by the model.
struct Play<'a, S> {
    stage: &'a S,
    processes: [(Chains, std::sync::Arc<Faults>); 2],
    model: Model,
}

impl<'a, S: Stage> Play<'a, S> {
    fn new(stage: &'a S, work: &Work) -> Self {
        let begun = || {
            let faults = std::sync::Arc::new(Faults::default());
            (stage.process(&faults), faults)
        };
        Self { stage, processes: [begun(), begun()], model: Model::new(work) }
    }

    async fn go(&mut self, event: &Event) {
        match event {
            Event::Round(process, faults) => self.round(*process, faults).await,
            Event::Kill(process) => {
                let faults = std::sync::Arc::new(Faults::default());
                self.processes[*process] = (self.stage.process(&faults), faults);
            }
            Event::Resume(process) => {
                self.processes[*process].1.resume();
                self.settle().await;
            }
            other => self.stage.happen(other).await,
        }
        self.model.look(self.stage.runs().await, event);
    }

    async fn round(&self, process: usize, befall: &[Fault]) {
        let (chains, faults) = &self.processes[process];
        faults.befall(befall);
        tokio::select! {
            _ = chains.round() => {}
            // The calls of this process hang.
            () = self.settle() => {}
        }
        self.settle().await;
    }

    /// Waits until every task has ended, or hangs.
    async fn settle(&self) {
        let mut quiet = 0;
        while quiet < 10 {
            self.stage.pause().await;
            let busy = self.processes.iter().any(|(_, faults)| faults.is_busy());
            quiet = if busy { 0 } else { quiet + 1 };
        }
    }

    /// Lets everything go well from now on, until every run has ended.
    async fn end(&mut self) {
        for process in 0..2 {
            self.go(&Event::Kill(process)).await;
        }
        for event in [Event::Hold(false), Event::Players(Some(0))] {
            self.go(&event).await;
        }
        for _ in 0..60 {
            if self.model.has_ended() {
                return self.model.check_ends();
            }
            for event in [Event::Operations(true), Event::Pass(31), Event::Round(0, vec![]), Event::Round(1, vec![])] {
                self.go(&event).await;
            }
        }
        panic!("these runs do not end: {:#?}", self.model);
    }
}

async fn play(stage: &impl Stage, work: &Work, events: &[Event]) {
    let mut play = Play::new(stage, work);
    play.go(&Event::Fire(false)).await;
    for event in events {
        play.go(event).await;
    }
    play.end().await;
}

/// Plays random pieces, and prints the shortest that goes wrong.
fn plays(cases: u32, most_events: usize, mut play: impl FnMut(Work, Vec<Event>)) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let play = std::cell::RefCell::new(&mut play);
    let played = runner.run(&(works(), vec(events(), 0..most_events)), |(work, events)| {
        (play.borrow_mut())(work, events);
        Ok(())
    });
    if let Err(TestError::Fail(why, (work, events))) = played {
        panic!("{why}\n{work:#?}\n{events:?}");
    }
}

/// Creates a runtime of one thread, so that a task goes on whenever the test pauses.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn each_step_is_done_once_whatever_fails() {
    let runtime = runtime();
    plays(200, 40, |work, events| runtime.block_on(play(&Memory::new(&work), &work, &events)));
}

/// As many pieces as fit into a few seconds.
#[test]
fn each_step_is_done_once_on_a_database() {
    let runtime = runtime();
    let began = Instant::now();
    let scene = runtime.block_on(crate::scene::Scene::start());
    let played = Cell::new(0);
    plays(40, 25, |work, events| {
        if began.elapsed().as_secs() < 8 {
            runtime.block_on(async { play(&Database::new(&scene, &work).await, &work, &events).await });
            played.set(played.get() + 1);
        }
    });
    assert!(played.get() > 0);
}
