//! What meets what: the decision that accepts an operation. Pure; the store calls it with the server's row locked.
//!
//! A newer operation supersedes those that are queued. A stop or a delete also interrupts a start that runs; every
//! other operation waits for the running one.
//!
//! A server without a host was taken over from the Go version, and what runs of it runs where AGIS does not reach. It
//! can only be deleted: that ends in the moment it is accepted, hides the server here, and touches nothing there.

use agis_base::UserId;

use crate::{
    host::Generation,
    operation::{Action, Origin, Refusal, Request},
    server::{Desired, Server, Status},
};

/// What accepting an operation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What the server should do from now on.
    pub desired: Desired,
    /// The generation of that.
    pub generation: Generation,
    /// Whether a start or restart that runs is given up.
    pub interrupts: bool,
    /// Whether this is done by being accepted: no host has anything to do.
    pub at_once: bool,
}

/// Decides on a request.
///
/// The generation stays where the desired state already holds and goes up by one otherwise. A start of a server that
/// crashed or failed is a change: at the old generation the host has already ended it.
///
/// # Errors
/// Where the actor may not do this, or the server cannot take it.
pub fn accept(server: &Server, request: &Request) -> Result<Decision, Refusal> {
    if request.origin != Origin::Operator {
        authorize(server, &request.actor)?;
    }
    if server.desired == Desired::Deleted && request.action != Action::Delete {
        return Err(Refusal::Deleting);
    }
    let at_once = server.host.is_none();
    if at_once && request.action != Action::Delete {
        return Err(Refusal::NoHost);
    }
    let desired = match request.action {
        Action::Start | Action::Restart => Desired::Running,
        Action::Stop => Desired::Stopped,
        Action::Delete => Desired::Deleted,
    };
    let ended = matches!(server.status, Status::Crashed | Status::Failed);
    let holds = match request.action {
        Action::Start => server.desired == desired && !ended,
        Action::Restart => false,
        Action::Stop | Action::Delete => server.desired == desired,
    };
    Ok(Decision {
        desired,
        generation: if holds { server.generation } else { server.generation + 1 },
        interrupts: matches!(request.action, Action::Stop | Action::Delete),
        at_once,
    })
}

fn authorize(server: &Server, actor: &UserId) -> Result<(), Refusal> {
    match (server.is_controlled_by(actor), server.is_visible_to(actor)) {
        (true, _) => Ok(()),
        (false, true) => Err(Refusal::NotAllowed),
        (false, false) => Err(Refusal::NotFound),
    }
}

/// The status of a server while an operation runs. A start that finds the server running changes nothing.
pub fn status_while(action: Action, status: Status) -> Status {
    match action {
        Action::Start if status == Status::Running => Status::Running,
        Action::Start | Action::Restart => Status::Starting,
        Action::Stop => Status::Stopping,
        Action::Delete => Status::Deleting,
    }
}

#[cfg(test)]
mod tests {
    use agis_base::ServerId;

    use super::*;
    use crate::operation::Identity;

    fn server(desired: Desired, status: Status) -> Server {
        Server {
            id: ServerId(1),
            owner: UserId::from_stored("1"),
            name: "s".into(),
            game_type: "demo".into(),
            description: None,
            is_public: false,
            status,
            desired,
            generation: 7,
            host: Some("here".into()),
            endpoint: None,
            error: None,
            cost_per_hour: 0,
            created_at: Default::default(),
            updated_at: Default::default(),
        }
    }

    fn request(action: Action) -> Request {
        Request {
            server: ServerId(1),
            action,
            origin: Origin::Rest,
            actor: UserId::from_stored("1"),
            identity: Identity::None,
        }
    }

    #[test]
    fn the_generation_goes_up_exactly_when_the_desired_state_does_not_hold() {
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
            let decision = accept(&server(desired, status), &request(action)).expect("accepted");
            assert_eq!((decision.generation, decision.desired), (generation, becomes), "{desired} {status} {action}");
            assert_eq!(decision.interrupts, matches!(action, Stop | Delete));
            assert!(!decision.at_once, "a host has something to do");
        }
    }

    #[test]
    fn only_who_controls_a_server_acts_and_only_who_sees_it_learns_that() {
        let stranger = Request { actor: UserId::from_stored("2"), ..request(Action::Stop) };
        let hidden = server(Desired::Running, Status::Running);
        assert_eq!(accept(&hidden, &stranger), Err(Refusal::NotFound));
        assert_eq!(accept(&Server { is_public: true, ..hidden.clone() }, &stranger), Err(Refusal::NotAllowed));
        assert!(accept(&hidden, &Request { origin: Origin::Operator, ..stranger }).is_ok());
    }

    #[test]
    fn a_server_that_is_being_deleted_or_lives_nowhere_takes_nothing() {
        let deleting = server(Desired::Deleted, Status::Deleting);
        for action in [Action::Start, Action::Stop, Action::Restart] {
            assert_eq!(accept(&deleting, &request(action)), Err(Refusal::Deleting));
        }
        let legacy = Server { host: None, ..server(Desired::Running, Status::Running) };
        for action in [Action::Start, Action::Stop, Action::Restart] {
            assert_eq!(accept(&legacy, &request(action)), Err(Refusal::NoHost));
        }
    }

    #[test]
    fn a_server_that_lives_nowhere_is_deleted_by_being_asked_to() {
        let legacy = Server { host: None, ..server(Desired::Running, Status::Running) };
        let decision = accept(&legacy, &request(Action::Delete)).expect("accepted");
        assert_eq!((decision.desired, decision.at_once), (Desired::Deleted, true));
        let stranger = Request { actor: UserId::from_stored("2"), ..request(Action::Delete) };
        assert_eq!(accept(&legacy, &stranger), Err(Refusal::NotFound));
    }
}
