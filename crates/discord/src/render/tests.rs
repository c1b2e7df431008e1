//! Tests that no name has an effect, and that the words are there.

use agis_base::{OperationId, ServerId, Trace, UserId};
use agis_servers::{
    Action, Hold, Label, Operation, Origin, Restart, Server, State, Status,
    access::Access,
    game::{Catalogue, Protocol},
    host::{Abilities, Ability, Endpoint, OpenPort},
    players::{Measured, Players},
    server::Desired,
};
use proptest::prelude::*;

use super::{
    operation::{Unfollowed, ended, progress, unfollowed},
    server::{Info, created, info, list, lose, players},
};
use crate::{answer::Message, code::Listed, pages::Piece};

fn server(name: &str) -> Server {
    let port = OpenPort { name: name.to_owned(), port: 3979, protocol: Some(Protocol::Tcp) };
    Server {
        id: ServerId(7),
        owner: UserId::from_stored("1"),
        name: name.to_owned(),
        game_type: name.to_owned(),
        description: Some(name.to_owned()),
        is_public: false,
        labels: vec![Label::from_stored(name.to_owned())],
        status: Status::Running,
        desired: Desired::Running,
        generation: 1,
        host: Some("here".to_owned()),
        endpoint: Some(Endpoint { address: "203.0.113.7".to_owned(), port: 3979, ports: vec![port.clone(), port] }),
        error: Some(name.to_owned()),
        restart_choice: Default::default(),
        restart: None,
        hold: Some(Hold {
            since: Default::default(),
            until: None,
            reason: Some(name.to_owned()),
            by: UserId::from_stored("1"),
        }),
        idle: None,
        cost_per_hour: 0,
        created_at: Default::default(),
        updated_at: Default::default(),
    }
}

fn operation(action: Action, state: State, error: &str) -> Operation {
    Operation {
        id: OperationId::new(),
        server: ServerId(7),
        action,
        state,
        origin: Origin::Discord,
        actor: UserId::from_stored("2"),
        generation: 1,
        error: Some(error.to_owned()),
        progress: None,
        image: None,
        killed_after_grace: None,
        trace: Trace::ours(1),
        created_at: Default::default(),
        finished_at: None,
    }
}

/// Returns every message about a server and its operations.
fn pages(name: &str) -> Vec<Message> {
    let (server, catalogue) = (server(name), Catalogue::default());
    let listed = [(server.clone(), Access::Owner)];
    let listed = Piece::of(Listed::Servers(None), 0, &listed);
    let playing = Players { online: 1, max: Some(8), names: Some(vec![name.to_owned()]) };
    let playing = Some(Measured { players: playing, at: Default::default() });
    let mut pages = vec![created(&server), lose(&server, vec![])];
    pages.push(list(listed, server.labels.first(), std::slice::from_ref(&playing), &catalogue));
    pages.push(players(&server, Access::Owner, playing.as_ref(), true));
    for action in Action::ALL {
        for state in State::ALL {
            let operation = operation(*action, *state, name);
            pages.extend([progress(&server, &operation), ended(&server, &operation)]);
            pages.push(unfollowed(&server, &operation, Unfollowed::TooLong));
            let history = [operation];
            let (access, schedules, shares) = (&Access::Owner, 3, &[][..]);
            let catalogue = &catalogue;
            let abilities = &Abilities::all().without(Ability::Commands, name);
            pages.push(info(&Info {
                server: &server,
                access,
                catalogue,
                players: playing.as_ref(),
                abilities,
                why_no_start: Some(name.to_owned()),
                without_gate: false,
                ahead: None,
                history: &history,
                schedules,
                shares,
            }));
        }
    }
    pages
}

fn texts(message: &Message) -> String {
    let embed = &message.embed;
    let fields = embed.fields.iter().flat_map(|field| [&field.name, &field.value]);
    embed.title.iter().chain(&embed.description).chain(fields).cloned().collect::<Vec<_>>().join("\n")
}

#[test]
fn ready_server_says_where_to_join() {
    let message = ended(&server("Railways"), &operation(Action::Start, State::Succeeded, ""));
    assert_eq!(message.embed.title.as_deref(), Some("Railways is ready"));
    assert!(texts(&message).contains("Join at `203.0.113.7:3979`"), "{}", texts(&message));
}

#[test]
fn unknown_players_are_not_zero() {
    let server = server("Railways");
    let told = |online, names: Option<&[&str]>, access| {
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let measured = Measured { players: Players { online, max: Some(8), names }, at: Default::default() };
        texts(&players(&server, access, Some(&measured), true))
    };
    assert!(told(0, Some(&[]), Access::Owner).contains("0 of 8 players"));
    let named = told(1, Some(&["Ann"]), Access::Owner);
    assert!(named.contains("1 of 8 players") && named.contains("Ann"), "{named}");
    assert!(told(1, None, Access::Owner).contains("does not tell all"));
    assert!(told(1, None, Access::Public).contains("Only people"));
    for (can_tell, says) in [(true, "Nobody knows"), (false, "does not tell")] {
        let unknown = texts(&players(&server, Access::Owner, None, can_tell));
        assert!(unknown.contains(says) && !unknown.contains("0 of"), "{unknown}");
    }
}

#[test]
fn restart_that_waits_can_be_stopped() {
    let labels = |restart| {
        let server = Server { status: Status::Crashed, restart, ..server("Railways") };
        let message = info(&Info {
            server: &server,
            access: &Access::Owner,
            catalogue: &Catalogue::default(),
            players: None,
            abilities: &Abilities::all(),
            why_no_start: None,
            without_gate: false,
            ahead: None,
            history: &[],
            schedules: 0,
            shares: &[],
        });
        format!("{:?}", message.rows)
    };
    let restart = |at| Restart { at, attempt: 1, of: 5 };
    let waiting = labels(Some(restart(Some(Default::default()))));
    assert!(waiting.contains("\"Start\"") && waiting.contains("\"Stop\""), "{waiting}");
    for down in [None, Some(restart(None))] {
        let down = labels(down);
        assert!(down.contains("\"Start\"") && !down.contains("\"Stop\""), "{down}");
    }
}

#[test]
fn killed_game_is_told_for_every_action() {
    for action in [Action::Stop, Action::Restart, Action::Delete] {
        let mut operation = operation(action, State::Succeeded, "");
        for (killed, told) in [(None, false), (Some(false), false), (Some(true), true)] {
            operation.killed_after_grace = killed;
            let said = texts(&ended(&server("Railways"), &operation));
            assert_eq!(said.contains("was killed"), told, "{said}");
        }
    }
}

#[test]
fn channel_hears_no_reason_of_a_failure() {
    let message = ended(&server("Railways"), &operation(Action::Start, State::Failed, "it was not ready within 120 s"));
    let said = texts(&message);
    assert!(said.contains("could not be started") && said.contains("`/server info`"), "{said}");
    assert!(!said.contains("120 s"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_name_has_an_effect_on_any_page(name in "[@*_`<>a-z\\]\\[()]{1,100}|\\PC{1,100}") {
        for message in pages(&format!("{name} @everyone <@99> [x](y)")) {
            let said = texts(&message).replace('\\', "");
            prop_assert!(!said.contains("@everyone") && !said.contains("<@99>"), "{}", said);
            prop_assert!(!texts(&message).contains(" [x]"));
        }
    }
}
