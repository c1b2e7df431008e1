use super::*;

fn span(text: &str) -> Span {
    text.parse().expect("a span")
}

fn work(lines: &str) -> Work {
    Work::of_lines(lines).expect("steps")
}

#[test]
fn lines_are_read_as_they_are_written() {
    let lines = "say Back in a moment; save, please\ntry command save-all flush\nwait 1m 30s\nwait until empty 2h\n\
                 restart warn 15m 1h30m\nfinally start";
    assert_eq!(work(lines).to_string(), lines);
    let loose = "  SAY hi \r\n\n Wait until Ready\n stop warn 5m, 1m\n";
    assert_eq!(work(loose).to_string(), "say hi\nwait until ready 10m\nstop warn 5m 1m");
}

#[test]
fn line_that_is_no_step_is_named() {
    for line in [
        "dance",
        "say",
        "wait",
        "wait soon",
        "wait until rich",
        "restart now",
        "restart warn x",
        "finally",
        "try",
        "say\0",
    ] {
        let error = Work::of_lines(&format!("start\n{line}")).expect_err(line);
        assert!(error.0.starts_with(line.split(' ').next().expect("a word")), "{line}: {error}");
    }
}

#[test]
fn broken_rule_names_its_field() {
    let with = |deed| Work::steps(vec![Step::power(Action::Start), Step::new(deed)]);
    let warned = |action, ahead: &[&str]| Deed::Power {
        action,
        warning: Some(Warning::ahead(ahead.iter().map(|time| span(time)).collect())),
    };
    let empty = When { players: PlayersAre::Empty, ..When::default() };
    for (work, field) in [
        (Work::steps(vec![]), "steps"),
        (Work::steps(vec![Step::power(Action::Start); STEPS_MAX + 1]), "steps"),
        (Work { finally: vec![Step::power(Action::Start); STEPS_MAX], ..Work::of(Action::Stop) }, "steps"),
        (with(Deed::Say(String::new())), "steps[1].text"),
        (with(Deed::Say(" ".into())), "steps[1].text"),
        (with(Deed::Say("a\nb".into())), "steps[1].text"),
        (with(Deed::Say("a".repeat(TEXT_MAX + 1))), "steps[1].text"),
        (with(Deed::Command("a\0".into())), "steps[1].command"),
        (with(Deed::Wait(Span::ZERO)), "steps[1].seconds"),
        (with(Deed::Wait(span("25h"))), "steps[1].seconds"),
        (with(Deed::WaitUntil { state: Awaited::Empty, at_most: span("25h") }), "steps[1].at_most"),
        (with(warned(Action::Start, &["5m"])), "steps[1].warn"),
        (with(warned(Action::Stop, &[])), "steps[1].warn"),
        (with(warned(Action::Stop, &["1m", "5m"])), "steps[1].warn"),
        (with(warned(Action::Stop, &["5m", "5m"])), "steps[1].warn"),
        (Work { finally: vec![Step::new(Deed::Wait(Span::ZERO))], ..Work::of(Action::Stop) }, "finally[0].seconds"),
        (
            Work { when: Some(When { defer: Some(span("2h")), ..When::default() }), ..Work::of(Action::Stop) },
            "when.defer",
        ),
        (Work { when: Some(When { defer: Some(span("48h")), ..empty }), ..Work::of(Action::Stop) }, "when.defer"),
    ] {
        assert_eq!(work.check().expect_err(field).field, field, "{work:?}");
    }
    assert_eq!(
        Work { when: Some(When { defer: Some(span("2h")), ..empty }), ..Work::of(Action::Stop) }.check(),
        Ok(())
    );
}

#[test]
fn single_action_needs_no_rows_of_steps() {
    for action in [Action::Start, Action::Stop, Action::Restart] {
        assert_eq!(Work::of(action).action(), Some(action));
        assert_eq!(Work::of(action).kind().action(), Some(action));
    }
    let restart = Work::of(Action::Restart);
    for work in [
        work("restart warn 5m"),
        work("try restart"),
        work("wait 5s\nrestart"),
        work("restart\nfinally start"),
        Work { overlap: Overlap::Replace, ..restart.clone() },
        Work { when: Some(When::default()), ..restart },
    ] {
        assert_eq!((work.action(), work.kind()), (None, Kind::Steps), "{work:?}");
    }
}

#[test]
fn warned_action_is_announced_and_waited_for() {
    let planned = work("stop warn 2h 90s 1m").planned();
    let told: Vec<_> = planned.iter().map(|step| step.deed.to_string()).collect();
    assert_eq!(
        told,
        [
            "say The server stops in 2 hours.",
            "wait 1h 58m 30s",
            "say The server stops in 90 seconds.",
            "wait 30s",
            "say The server stops in 1 minute.",
            "wait 1m",
            "stop",
        ]
    );
    assert!(planned[..6].iter().all(|step| step.on_error == OnError::Continue));
    let own = Warning { text: Some("{minutes} left ({time})".into()), ..Warning::ahead(vec![span("90s")]) };
    assert_eq!(said_in(&Some(own), Action::Restart, span("90s")), "2 left (90 seconds)");
}

#[test]
fn restart_leaves_a_stopped_server_alone_by_default() {
    let usual = |lines: &str| work(lines).when().server;
    assert_eq!(usual("restart"), ServerIs::Running);
    assert_eq!(usual("say Bye\nwait 5s\nstop\nstart"), ServerIs::Running);
    assert_eq!(usual("start\nstop"), ServerIs::Any);
    assert_eq!(usual("say Hello"), ServerIs::Any);
    let always = Work { when: Some(When::default()), ..Work::of(Action::Restart) };
    assert_eq!(always.when().server, ServerIs::Any);
}

#[test]
fn last_steps_restart_no_stopped_server() {
    for (lines, usual) in [
        ("say hi\nfinally restart", ServerIs::Running),
        ("wait 1s\nfinally stop", ServerIs::Running),
        ("start\nfinally restart", ServerIs::Any),
        ("say hi\nfinally start", ServerIs::Any),
    ] {
        assert_eq!(Work::of_lines(lines).expect("steps").when().server, usual, "{lines}");
    }
}
