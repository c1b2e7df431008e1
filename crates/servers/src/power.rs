//! Decides whether an operation is accepted, and what it supersedes. Pure; the store calls it with the server's row
//! locked.
//!
//! A newer operation supersedes queued ones. A stop or a deletion also interrupts a running start; every other
//! operation waits for the running one.
//!
//! A server without a host was taken over from the Go version, and runs where AGIS does not reach. It can only be
//! deleted: the deletion ends at once, hides the server here, and touches nothing there.

use agis_base::Timestamp;

use crate::{
    access::{self, Access},
    hold,
    host::Generation,
    operation::{Action, Identity, Origin, Refusal, Request},
    server::{Desired, Server, Status},
};

/// Changes that come with an accepted operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Desired state from now on.
    pub desired: Desired,
    /// Generation of the desired state.
    pub generation: Generation,
    /// Whether a running start or restart is given up.
    pub interrupts: bool,
    /// Whether acceptance ends the operation: no host has anything to do.
    pub at_once: bool,
}

/// Facts about a server that decide about its next run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prospects<'a> {
    /// Owner's budget for the hour that begins with the run; `None` if nobody has to pay.
    pub credits: Option<i32>,
    /// Reason why no run can begin with the server's settings.
    pub unfit: Option<&'a str>,
}

/// Decides on the request of an actor with this access.
///
/// The generation stays if the desired state already holds and goes up by one otherwise. A start of a server that
/// crashed or failed is a change: at the old generation the host has already ended it.
///
/// A run begins only if the owner can pay its first hour; the ledger handles servers that run on. A restart whose start would
/// fail is refused: it would stop the game first, and for nothing.
///
/// `at` is now, for the hold of the server.
///
/// # Errors
/// Fails if the actor may not do this, or the server cannot take it.
pub fn accept(
    server: &Server,
    access: Access,
    request: &Request,
    prospects: &Prospects<'_>,
    at: Timestamp,
) -> Result<Decision, Refusal> {
    if request.origin != Origin::Operator {
        access.check(access::needed_for(request))?;
    }
    if server.desired == Desired::Deleted && request.action != Action::Delete {
        return Err(Refusal::Deleting);
    }
    let ended = matches!(server.status, Status::Crashed | Status::Failed);
    if let Identity::Restart { ended: generation } = request.identity
        && !(ended && server.desired == Desired::Running && server.generation == generation)
    {
        return Err(Refusal::Overtaken);
    }
    // A nightly restart does not start a server that its owner has stopped, nor does that of all servers with a label.
    let spares = match request.identity {
        Identity::Firing { .. } | Identity::Step { spares_stopped: true, .. } => {
            matches!(request.action, Action::Restart | Action::Stop)
        }
        Identity::Batch => request.action == Action::Restart,
        _ => false,
    };
    if spares && server.desired != Desired::Running {
        return Err(Refusal::ShouldNotRun);
    }
    let at_once = server.host.is_none();
    if at_once && request.action != Action::Delete {
        return Err(Refusal::NoHost);
    }
    hold::check(server, request.origin, at)?;
    let desired = match request.action {
        Action::Start | Action::Restart => Desired::Running,
        Action::Stop => Desired::Stopped,
        Action::Delete => Desired::Deleted,
    };
    let runs = server.desired == Desired::Running && !ended;
    let holds = match request.action {
        Action::Start => runs,
        Action::Restart => false,
        Action::Stop | Action::Delete => server.desired == desired,
    };
    // An earlier start that has begun nothing yet is asked for again: its hour is still unpaid.
    let runs_on = holds && server.status == Status::Running;
    let begins = desired == Desired::Running && !runs_on;
    if begins && prospects.credits.is_some_and(|credits| credits < server.cost_per_hour) {
        return Err(Refusal::CannotPay { price: server.cost_per_hour });
    }
    if let (Action::Restart, Some(why)) = (request.action, prospects.unfit) {
        return Err(Refusal::Unfit(why.to_owned()));
    }
    Ok(Decision {
        desired,
        generation: if holds { server.generation } else { server.generation + 1 },
        interrupts: matches!(request.action, Action::Stop | Action::Delete),
        at_once,
    })
}

/// Returns whether a schedule's firing comes too late for its server. A firing that was due later has been accepted
/// already, and this one must not undo it.
pub fn is_overtaken(slot: Timestamp, latest: Option<Timestamp>) -> bool {
    latest.is_some_and(|latest| slot < latest)
}

/// Returns the status of a server while an operation of generation `wanted` runs; its present status was `published` at
/// another or the same. A start changes nothing of a server that runs at its generation. At an earlier generation,
/// whose stop was superseded before it began, the host ends the run and starts anew: shown as running, that end would
/// be a crash.
pub fn status_while(action: Action, wanted: Generation, status: Status, published: Generation) -> Status {
    match action {
        Action::Start if status == Status::Running && published == wanted => Status::Running,
        Action::Start | Action::Restart => Status::Starting,
        Action::Stop => Status::Stopping,
        Action::Delete => Status::Deleting,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use agis_base::{ServerId, UserId};

    use super::*;
    use crate::{access::Permission, operation::Identity};

    pub(crate) fn server(desired: Desired, status: Status) -> Server {
        Server {
            id: ServerId(1),
            owner: UserId::from_stored("1"),
            name: "s".into(),
            game_type: "demo".into(),
            description: None,
            is_public: false,
            labels: vec![],
            status,
            desired,
            generation: 7,
            host: Some("here".into()),
            endpoint: None,
            error: None,
            restart_choice: Default::default(),
            restart: None,
            hold: None,
            idle: None,
            cost_per_hour: 0,
            created_at: Default::default(),
            updated_at: Default::default(),
        }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn request(action: Action) -> Request {
        Request {
            server: ServerId(1),
            action,
            origin: Origin::Rest,
            actor: UserId::from_stored("1"),
            channel: None,
            identity: Identity::None,
            trace: None,
        }
    }

    #[test]
    fn generation_rises_only_with_desired_state() {
        use {Action::*, Desired as D, Status as S};
        let table = [
            (D::Stopped, S::Stopped, Start, 8, D::Running),
            (D::Running, S::Stopped, Start, 7, D::Running), // accepted before, still queued
            (D::Running, S::Starting, Start, 7, D::Running),
            (D::Running, S::Running, Start, 7, D::Running),
            (D::Running, S::Crashed, Start, 8, D::Running),
            (D::Running, S::Failed, Start, 8, D::Running),
            (D::Stopped, S::Stopping, Start, 8, D::Running),
            (D::Stopped, S::Stopped, Stop, 7, D::Stopped),
            (D::Stopped, S::Failed, Stop, 7, D::Stopped),
            (D::Running, S::Starting, Stop, 8, D::Stopped),
            (D::Running, S::Running, Stop, 8, D::Stopped),
            (D::Running, S::Crashed, Stop, 8, D::Stopped),
            (D::Stopped, S::Stopped, Restart, 8, D::Running),
            (D::Running, S::Running, Restart, 8, D::Running),
            (D::Running, S::Running, Delete, 8, D::Deleted),
            (D::Deleted, S::Deleting, Delete, 7, D::Deleted),
        ];
        for (desired, status, action, generation, becomes) in table {
            let decision =
                accept(&server(desired, status), Access::Owner, &request(action), &Prospects::default(), NOW)
                    .expect("accepted");
            assert_eq!((decision.generation, decision.desired), (generation, becomes), "{desired} {status} {action}");
            assert_eq!(decision.interrupts, matches!(action, Stop | Delete));
            assert!(!decision.at_once, "a host has something to do");
        }
    }

    #[test]
    fn schedule_leaves_a_stopped_server_alone() {
        let identity = Identity::Firing { operation: agis_base::OperationId::new(), slot: Timestamp::default() };
        let firing = |action| Request { identity: identity.clone(), ..request(action) };
        let stopped = server(Desired::Stopped, Status::Stopped);
        for action in [Action::Restart, Action::Stop] {
            assert_eq!(
                accept(&stopped, Access::Owner, &firing(action), &Prospects::default(), NOW),
                Err(Refusal::ShouldNotRun),
                "{action}"
            );
            for status in [Status::Running, Status::Crashed, Status::Failed] {
                let runs = server(Desired::Running, status);
                assert!(
                    accept(&runs, Access::Owner, &firing(action), &Prospects::default(), NOW).is_ok(),
                    "{action} of one that is {status}"
                );
            }
        }
        assert!(accept(&stopped, Access::Owner, &firing(Action::Start), &Prospects::default(), NOW).is_ok());
    }

    #[test]
    fn start_leaves_a_running_server_alone() {
        use {Action::*, Status as S};
        for (action, wanted, status, shown) in [
            (Start, 7, S::Running, S::Running),
            (Start, 9, S::Running, S::Starting),
            (Start, 9, S::Stopped, S::Starting),
            (Restart, 8, S::Running, S::Starting),
            (Stop, 8, S::Running, S::Stopping),
            (Delete, 8, S::Running, S::Deleting),
        ] {
            assert_eq!(status_while(action, wanted, status, 7), shown, "{action} at {wanted} of {status} at 7");
        }
    }

    #[test]
    fn older_slot_never_replaces_a_newer_one() {
        let at = |hour: i64| Timestamp::from_timestamp(hour * 3600, 0).expect("a time");
        assert!(is_overtaken(at(1), Some(at(2))));
        assert!(!is_overtaken(at(2), Some(at(2))), "two schedules may be due at once");
        assert!(!is_overtaken(at(2), Some(at(1))));
        assert!(!is_overtaken(at(2), None));
    }

    #[test]
    fn forbidden_request_changes_nothing() {
        let (server, stop) = (server(Desired::Running, Status::Running), request(Action::Stop));
        assert_eq!(accept(&server, Access::None, &stop, &Prospects::default(), NOW), Err(Refusal::NotFound));
        assert_eq!(accept(&server, Access::Public, &stop, &Prospects::default(), NOW), Err(Refusal::NotAllowed));
        let shared = |permission| Access::Shared([permission].into_iter().collect());
        assert_eq!(
            accept(&server, shared(Permission::Start), &stop, &Prospects::default(), NOW),
            Err(Refusal::NotAllowed)
        );
        assert!(accept(&server, shared(Permission::Stop), &stop, &Prospects::default(), NOW).is_ok());
        assert!(
            accept(&server, Access::None, &Request { origin: Origin::Operator, ..stop }, &Prospects::default(), NOW)
                .is_ok()
        );
    }

    #[test]
    fn deleting_or_hostless_server_takes_nothing() {
        let deleting = server(Desired::Deleted, Status::Deleting);
        for action in [Action::Start, Action::Stop, Action::Restart] {
            assert_eq!(
                accept(&deleting, Access::Owner, &request(action), &Prospects::default(), NOW),
                Err(Refusal::Deleting)
            );
        }
        let legacy = Server { host: None, ..server(Desired::Running, Status::Running) };
        for action in [Action::Start, Action::Stop, Action::Restart] {
            assert_eq!(
                accept(&legacy, Access::Owner, &request(action), &Prospects::default(), NOW),
                Err(Refusal::NoHost)
            );
        }
    }

    #[test]
    fn hostless_server_is_deleted_at_once() {
        let legacy = Server { host: None, ..server(Desired::Running, Status::Running) };
        let decision =
            accept(&legacy, Access::Owner, &request(Action::Delete), &Prospects::default(), NOW).expect("accepted");
        assert_eq!((decision.desired, decision.at_once), (Desired::Deleted, true));
        assert_eq!(
            accept(&legacy, Access::None, &request(Action::Delete), &Prospects::default(), NOW),
            Err(Refusal::NotFound)
        );
    }

    #[test]
    fn start_needs_a_payable_first_hour() {
        use {Action::*, Desired as D, Status as S};
        let cannot = Err(Refusal::CannotPay { price: 30 });
        for (desired, status, action, credits, refused) in [
            (D::Stopped, S::Stopped, Start, Some(29), true),
            (D::Stopped, S::Stopped, Restart, Some(29), true),
            (D::Running, S::Crashed, Start, Some(0), true),
            (D::Stopped, S::Stopped, Start, Some(30), false),
            (D::Stopped, S::Stopped, Start, None, false),
            (D::Running, S::Running, Start, Some(0), false),
            (D::Running, S::Stopped, Start, Some(29), true),
            (D::Running, S::Stopped, Start, Some(30), false),
            (D::Running, S::Starting, Start, Some(29), true),
            // Its hour is paid, or is over.
            (D::Running, S::Running, Restart, None, false),
            (D::Running, S::Running, Restart, Some(29), true),
            (D::Running, S::Running, Restart, Some(30), false),
            (D::Running, S::Running, Stop, Some(0), false),
            (D::Stopped, S::Stopped, Delete, Some(0), false),
        ] {
            let priced = Server { cost_per_hour: 30, ..server(desired, status) };
            let decision = accept(&priced, Access::Owner, &request(action), &Prospects { credits, unfit: None }, NOW);
            assert_eq!(decision == cannot, refused, "{desired} {status} {action} {credits:?}");
            assert_eq!(decision.is_err(), refused);
        }
    }

    #[test]
    fn only_a_restart_is_refused_for_settings() {
        let running = server(Desired::Running, Status::Running);
        let prospects = Prospects { credits: None, unfit: Some("the setting does not fit") };
        for action in Action::ALL {
            let decision = accept(&running, Access::Owner, &request(*action), &prospects, NOW);
            let refused = decision == Err(Refusal::Unfit("the setting does not fit".to_owned()));
            assert_eq!(refused, *action == Action::Restart, "{action}");
            assert_eq!(decision.is_err(), refused);
        }
    }
}
