//! The words of the domains as schemas.

use std::borrow::Cow;

use agis_scheduler as scheduler;
use agis_servers as servers;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident: $words:expr;)+) => {
        $($(#[doc = $doc])+
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = $words;
                let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
                let text = [$($doc),+].map(str::trim).join("\n");
                ObjectBuilder::new().schema_type(Type::String).description(Some(text)).enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        })+
    };
}

words! {
    /// Whether a key is valid.
    KeyState: agis_apikeys::KeyState::ALL;
    /// The state of a server. `running`: ready for players. `crashed`: the game ended by itself. `failed`: the last
    /// operation failed.
    ServerStatus: servers::server::Status::ALL;
    /// Your relation to a server. `shared`: its owner shares it with you.
    Access: servers::Access::SEEN;
    /// A permission that an owner can share. Each includes to read.
    Permission: servers::Permission::ALL;
    /// A member is one person, and a role all members of a community who have it.
    GranteeKind: servers::access::GranteeKind::ALL;
    /// The ends after which a server is started again. `crash`: the game ended by itself, and not well. `always`: also a good
    /// end, and a start that did not become ready.
    RestartOn: servers::RestartOn::ALL;
    /// An action on a server.
    ServerAction: servers::operation::Action::ALL;
    /// The state of an operation; the last four are final. `superseded`: a newer operation on the same server replaced
    /// it. `expired`: no worker could take it for an hour.
    OperationState: servers::operation::State::ALL;
    /// The origin of an operation.
    OperationOrigin: servers::operation::Origin::ALL;
    /// The outcome of a command. `sent`: it is being sent, or its process died meanwhile. `typed`: the console has it.
    /// `unanswered`: the game may have got it. `refused`: the game did not get it.
    CommandOutcome: servers::console::CommandOutcome::ALL;
    /// The action of a schedule.
    ScheduleAction: scheduler::Action::ALL;
    /// The action of a run, or `steps` if it is more than one action, or has a condition of its own.
    RunKind: scheduler::Kind::ALL;
    /// The fate of a run that is due while an earlier one has not ended. `queue_one`: it waits, unless another waits
    /// already. `replace`: it ends the earlier one.
    Overlap: scheduler::work::Overlap::ALL;
    /// The state for which a step waits. `empty`: nobody plays, by a measurement. `ready`: ready for players.
    AwaitedState: scheduler::work::Awaited::ALL;
    /// The effect of a failed step.
    OnError: scheduler::work::OnError::ALL;
    /// State that a server should be in.
    ServerIs: scheduler::work::ServerIs::ALL;
    /// Players on a server.
    PlayersAre: scheduler::work::PlayersAre::ALL;
    /// The state of a step of a run. `skipped`: it never began, or the run was ended meanwhile.
    StepState: scheduler::chain::StepState::ALL;
    /// The deed of a step.
    StepDeed: scheduler::work::DeedName::ALL;
    /// The treatment of slots that passed while no scheduler ran: the latest one runs once, late, or all are skipped.
    MissedRunPolicy: scheduler::MissedRunPolicy::ALL;
    /// The state of a run. `missed`: no scheduler ran when it was due. `skipped`: it fired, and there was nothing to
    /// do.
    RunState: scheduler::RunState::ALL;
    /// The transport protocol of the game.
    Protocol: servers::game::Protocol::ALL;
    /// Whether somebody ran the game's entry in the catalogue. `untried`: the entry follows its documentation alone.
    Tried: servers::game::Tried::ALL;
    /// The type of a setting. `ports`: a list of port numbers.
    SettingType: servers::game::SettingType::ALL;
    /// The person who may change a setting.
    SettingBy: servers::game::SettingBy::ALL;
    /// When the value of a setting takes effect. `now`: the running server has it. `next_start`: the server does not run,
    /// or runs with another value.
    TakesEffect: servers::settings::TakesEffect::ALL;
}

/// A permission of a key: `write:x` includes `read:x`, and `*` includes everything but `read:hosts`, which is for
/// operators. Scopes of servers and schedules may name one server: `write:servers:7`.
pub(crate) struct Scope;

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let words = "\\*|read:hosts|(read|write):keys|(read|write):(servers|schedules)(:[1-9][0-9]{0,9})?";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^({words})$")))
            .description(Some(
                "A permission of a key: `write:x` includes `read:x`, and `*` includes everything but `read:hosts`, which is \
                 for operators. Scopes of servers and schedules may name one server: `write:servers:7`.",
            ))
            .examples(["read:servers", "write:servers:7", "*"])
            .into()
    }
}

impl ToSchema for Scope {
    fn name() -> Cow<'static, str> {
        "Scope".into()
    }
}
