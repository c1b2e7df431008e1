use agis_base::Span;
use proptest::prelude::*;

use super::*;
use crate::work::{Step, Work};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_000_000 + seconds, 0).expect("a time")
}

fn steps(lines: &str) -> Vec<StepRun> {
    let planned = Work::of_lines(lines).expect("steps").planned();
    planned.into_iter().map(StepRun::planned).collect()
}

const IDLE: Facts = Facts { should_run: true, is_ready: true, is_stopped: false, players: Some(0) };

#[test]
fn gate_says_who_is_in_the_way() {
    let running = When { server: ServerIs::Running, ..When::default() };
    let stopped = When { server: ServerIs::Stopped, ..When::default() };
    let empty = When { players: PlayersAre::Empty, ..When::default() };
    let patient = When { defer: Some(Span::of_minutes(60)), ..empty };
    let off = Facts { should_run: false, is_ready: false, is_stopped: true, players: None };
    let (played, unknown) = (Facts { players: Some(2), ..IDLE }, Facts { players: None, ..IDLE });
    for (when, facts, seconds, expected) in [
        (When::default(), off, 0, Gate::Open),
        (running, off, 0, Gate::Shut("server_stopped")),
        (running, played, 0, Gate::Open),
        (stopped, IDLE, 0, Gate::Shut("server_running")),
        (stopped, off, 0, Gate::Open),
        (empty, IDLE, 0, Gate::Open),
        (empty, off, 0, Gate::Open),
        (empty, played, 0, Gate::Shut("players_online")),
        (empty, unknown, 0, Gate::Shut("players_unknown")),
        (patient, played, 3599, Gate::Later),
        (patient, unknown, 3599, Gate::Later),
        (patient, IDLE, 3599, Gate::Open),
        (patient, played, 3600, Gate::Shut("players_online")),
        (patient, unknown, 3600, Gate::Shut("players_unknown")),
    ] {
        assert_eq!(gate(when, facts, at(0), at(seconds)), expected, "{when:?} {facts:?} {seconds}");
    }
}

#[test]
fn state_is_awaited_until_the_deadline() {
    let began = |lines: &str| StepRun { state: StepState::Running, started_at: Some(at(0)), ..steps(lines).remove(0) };
    let until = |state: &str, facts, seconds| {
        wait(&began(&format!("wait until {state} 10s")), facts, at(seconds)).expect("a wait")
    };
    let off = Facts { should_run: false, is_ready: false, is_stopped: true, players: None };
    let done = Progress::Ended(StepState::Succeeded, None);
    assert_eq!(until("empty", IDLE, 0), done);
    assert_eq!(until("ready", IDLE, 0), done);
    assert_eq!(until("stopped", off, 60), done, "a state that is there is never too late");
    assert_eq!(until("stopped", IDLE, 0), Progress::Goes(LOOK));
    assert_eq!(until("stopped", IDLE, 8), Progress::Goes(Duration::from_secs(2)));
    let Progress::Ended(StepState::Failed, Some(why)) = until("empty", Facts { players: None, ..IDLE }, 10) else {
        panic!("an unknown number is not zero")
    };
    assert_eq!(why, "the server was not empty within 10s; nobody knows how many play");
    assert_eq!(wait(&began("wait 30s"), IDLE, at(29)), Some(Progress::Goes(Duration::from_secs(1))));
    assert_eq!(wait(&began("wait 30s"), IDLE, at(30)), Some(done));
    assert_eq!(wait(&began("restart"), IDLE, at(0)), None);
}

#[test]
fn failed_step_leads_to_the_last_ones() {
    let mut run = steps("say hi\nstop\nstart\nfinally start\nfinally say bye");
    let end = |run: &mut [StepRun], place: usize, state| {
        assert_eq!(next(run, None), Next::Begin(place));
        run[place].state = StepState::Running;
        assert_eq!(next(run, None), Next::Watch(place));
        (run[place].state, run[place].reason) = (state, (state == StepState::Failed).then(|| "no".to_owned()));
    };
    end(&mut run, 0, StepState::Succeeded);
    end(&mut run, 1, StepState::Failed);
    end(&mut run, 3, StepState::Succeeded);
    end(&mut run, 4, StepState::Succeeded);
    let Next::End(told) = next(&run, None) else { panic!("it ends") };
    assert_eq!((told.state, told.reason.as_deref()), (RunState::Failed, Some("step 2 (stop): no")));
}

#[test]
fn step_that_may_fail_does_not_end_the_run() {
    let mut run = steps("try say hi\nstop");
    run[0].state = StepState::Failed;
    assert_eq!(next(&run, None), Next::Begin(1));
    run[1].state = StepState::Succeeded;
    assert_eq!(next(&run, None), Next::End(End { state: RunState::Succeeded, reason: None }));
}

#[test]
fn ended_run_does_nothing_more() {
    let mut run = steps("stop\nfinally start");
    run[0].state = StepState::Running;
    let Next::End(end) = next(&run, Some(EndedBy::Stop)) else { panic!("it ends") };
    assert_eq!((end.state, end.reason.as_deref()), (RunState::Skipped, Some("ended_by_stop")));
}

fn any_steps() -> impl Strategy<Value = Vec<StepRun>> {
    let step = (any::<bool>(), any::<bool>()).prop_map(|(tries, finally)| {
        let lines = if tries { "try stop" } else { "stop" };
        (lines.parse::<Step>().expect("a step"), finally)
    });
    prop::collection::vec(step, 1..=10).prop_map(|steps| {
        let (last, first): (Vec<_>, Vec<_>) = steps.into_iter().partition(|(_, finally)| *finally);
        let of = |steps: Vec<(Step, bool)>| steps.into_iter().map(|(step, _)| step).collect();
        let work = Work { finally: of(last), ..Work::steps(of(first)) };
        work.planned().into_iter().map(StepRun::planned).collect()
    })
}

proptest! {
    /// Whatever fails: steps begin in order, one at a time, each once, and what follows a failure is `finally` alone.
    #[test]
    fn steps_follow_the_rules(mut run in any_steps(), fails in prop::collection::vec(any::<bool>(), 10)) {
        let mut begun: Vec<usize> = vec![];
        let end = loop {
            match next(&run, None) {
                Next::Begin(place) => {
                    prop_assert!(run.iter().all(|step| step.state != StepState::Running));
                    prop_assert!(begun.last().is_none_or(|last| *last < place), "in order, once");
                    let failed = |step: &StepRun| step.state == StepState::Failed && step.step.on_error == OnError::Fail;
                    prop_assert!(run[place].step.finally || !run.iter().any(failed), "only the last ones follow a failure");
                    run[place].state = StepState::Running;
                    begun.push(place);
                }
                Next::Watch(place) => {
                    let fails = fails[place % fails.len()];
                    run[place].state = if fails { StepState::Failed } else { StepState::Succeeded };
                }
                Next::End(end) => break end,
            }
        };
        let failed = run.iter().any(|step| step.state == StepState::Failed && step.step.on_error == OnError::Fail);
        prop_assert_eq!(end.state == RunState::Failed, failed);
        prop_assert!(failed || run.iter().all(|step| step.state != StepState::Waiting), "a good run leaves nothing out");
        let lasts: Vec<_> = run.iter().filter(|step| step.step.finally).collect();
        prop_assert!(lasts.first().is_none_or(|first| first.state != StepState::Waiting), "the last ones begin in any case");
    }
}

fn later(by: &str) -> Postponement {
    Postponement { by: by.parse().expect("a time"), seen: None, tell: false }
}

#[test]
fn postponement_in_the_last_minute_warns_again() {
    let mut run = steps("restart warn 15m 5m 1m");
    let last = run.len() - 2;
    for step in &mut run[..last] {
        step.state = StepState::Succeeded;
    }
    (run[last].state, run[last].started_at) = (StepState::Running, Some(at(0)));
    // 30 seconds are left.
    let put_off = |by: &str| postponed(&run, &later(by), at(30)).expect("a wait");
    let short = put_off("1m");
    assert_eq!((short.ahead.at, short.postponed, short.anew), (at(120), Span::of_minutes(1), last..last));
    let some = put_off("5m");
    assert_eq!((some.ahead.at, some.postponed, some.anew), (at(360), Span::of_seconds(30), 3..last + 1));
    let long = put_off("2h");
    assert_eq!((long.ahead.at, long.postponed), (at(7260), Span::of_seconds(7230 - 900)));
    assert_eq!(long.anew, 1..last + 1, "the first warning is the news of the postponement");
    assert_eq!(postponed(&run, &later("24h"), at(30)), Err(NotPutOff::TooLong));
    let seen = |seconds| Postponement { seen: Some(at(seconds)), ..later("5m") };
    assert!(postponed(&run, &seen(60), at(30)).is_ok(), "it is due as it was seen");
    assert_eq!(postponed(&run, &seen(60 - 150), at(30)), Err(NotPutOff::Already));
    assert_eq!(postponed(&[], &later("1m"), at(30)), Err(NotPutOff::NothingAhead));
}

#[test]
fn steps_behind_a_failure_are_not_ahead() {
    let mut run = steps("wait until empty 1s\nwait 1h\nrestart\nfinally restart warn 20s");
    run[0].state = StepState::Failed;
    let said = run.iter().position(|run| run.step.finally).expect("a last step");
    run[said].state = StepState::Succeeded;
    (run[said + 1].state, run[said + 1].started_at) = (StepState::Running, Some(at(0)));
    assert_eq!(ahead(&run, at(5)).map(|ahead| (ahead.at, ahead.wait)), Some((at(20), Some(said + 1))));
    assert_eq!(announced(&run), Some(Action::Restart));
    let put_off = postponed(&run, &later("10m"), at(5)).expect("a wait");
    assert_eq!((put_off.ahead.at, put_off.anew), (at(620), said + 1..said + 1));
}

#[test]
fn announced_step_that_fails_is_in_vain() {
    let mut run = steps("wait 1s\nrestart warn 20s");
    let last = run.len() - 1;
    run[..last].iter_mut().for_each(|step| step.state = StepState::Succeeded);
    for (state, expected) in [
        (StepState::Waiting, None),
        (StepState::Failed, Some(Action::Restart)),
        (StepState::Running, Some(Action::Restart)),
        (StepState::Succeeded, None),
    ] {
        run[last].state = state;
        assert_eq!(announced_in_vain(&run), expected, "{state}");
    }
    let mut silent = steps("restart");
    silent[0].state = StepState::Failed;
    assert_eq!(announced_in_vain(&silent), None);
}

#[test]
fn restart_by_a_person_makes_up_for_a_restart_alone() {
    for (work, only) in [
        ("say Soon\nwait 5m\nrestart warn 1m\nsay Welcome back", true),
        ("try wait until empty 2h\nrestart", true),
        ("wait 5m\nrestart\ncommand save", false),
        ("wait 5m\nstop\nrestart", false),
        ("wait 5m\nstop", false),
        ("wait 5m", false),
    ] {
        assert_eq!(only_restarts(&steps(work)), only, "{work}");
    }
}
