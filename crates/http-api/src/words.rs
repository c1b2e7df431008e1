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
    /// Whether a key can be used.
    KeyState: agis_apikeys::KeyState::ALL;
    /// What a server does. `running` is ready for players; `crashed` ended by itself; `failed` could not do what was
    /// asked.
    ServerStatus: servers::server::Status::ALL;
    /// What you are to a server: `shared` is one with whom its owner shared it.
    Access: servers::Access::SEEN;
    /// What an owner may let others do on a server. Each includes to read.
    Permission: servers::Permission::ALL;
    /// What can be asked of a server.
    ServerAction: servers::operation::Action::ALL;
    /// How far an operation has come; the last four are ends. `superseded`: a newer operation on the same server took
    /// its place. `expired`: nobody could take it for an hour.
    OperationState: servers::operation::State::ALL;
    /// Where an operation came from.
    OperationOrigin: servers::operation::Origin::ALL;
    /// What a schedule does to its server.
    ScheduleAction: scheduler::Action::ALL;
    /// What happens to slots that passed while no scheduler ran: the latest of them runs once, late, or all are skipped.
    MissedRunPolicy: scheduler::MissedRunPolicy::ALL;
    /// How far a run has come. `missed`: no scheduler ran when it was due. `skipped`: it fired, and nothing was to be
    /// done.
    RunState: scheduler::RunState::ALL;
    /// The protocol that players speak.
    Protocol: servers::game::Protocol::ALL;
}

/// What a key may do: `write:x` includes `read:x`, `*` includes everything. Those of servers and schedules may name one
/// server: `write:servers:7`.
pub(crate) struct Scope;

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let words = "\\*|(read|write):keys|(read|write):(servers|schedules)(:[1-9][0-9]{0,9})?";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^({words})$")))
            .description(Some(
                "What a key may do: `write:x` includes `read:x`, `*` includes everything. Those of servers and schedules \
                 may name one server: `write:servers:7`.",
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
