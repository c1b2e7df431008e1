//! The commands, each in the words of the domains.

pub(crate) mod apikey;
pub(crate) mod help;
pub(crate) mod profile;
pub(crate) mod schedule;
pub(crate) mod server;
pub(crate) mod share;

use crate::{
    call::{Args, Call},
    handler::Inner,
    reply::{Answer, Style},
    wording::Refusal,
};

macro_rules! verbs {
    ($($variant:ident = $word:literal,)+) => {
        /// What a command asks for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Verb {
            $($variant,)+
        }

        impl Verb {
            /// Every command.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// As it is typed, and counted.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The command that is typed so.
            pub(crate) fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

verbs! {
    ServerList = "server list",
    ServerCreate = "server create",
    ServerInfo = "server info",
    ServerStart = "server start",
    ServerStop = "server stop",
    ServerRestart = "server restart",
    ServerDelete = "server delete",
    ServerLogs = "server logs",
    ServerShare = "server share",
    ServerUnshare = "server unshare",
    ServerLeave = "server leave",
    ScheduleCreate = "schedule create",
    ScheduleList = "schedule list",
    ScheduleDelete = "schedule delete",
    ScheduleEnable = "schedule enable",
    ScheduleDisable = "schedule disable",
    ScheduleRun = "schedule run",
    SchedulePreview = "schedule preview",
    ApikeyCreate = "apikey create",
    ApikeyList = "apikey list",
    ApikeyRevoke = "apikey revoke",
    Profile = "profile",
    Help = "help",
}

impl Verb {
    /// Who sees the answer. Decided ahead of the work, because a deferral says it already. What a server does concerns
    /// the channel; what somebody looks at concerns them.
    pub(crate) fn style(self) -> Style {
        match self {
            Self::ServerStart | Self::ServerStop | Self::ServerRestart | Self::ScheduleRun => Style::Public,
            _ => Style::Private,
        }
    }

    /// Whether it may have changed something by the time that it fails.
    pub(crate) fn changes(self) -> bool {
        use Verb::*;
        matches!(
            self,
            ServerCreate
                | ServerStart
                | ServerStop
                | ServerRestart
                | ServerShare
                | ServerUnshare
                | ServerLeave
                | ScheduleCreate
                | ScheduleEnable
                | ScheduleDisable
                | ScheduleRun
                | ApikeyCreate
        )
    }
}

/// Does what a command asks for.
pub(crate) async fn run(inner: &Inner, call: &Call, verb: Verb, args: &Args) -> Result<Answer, Refusal> {
    use agis_servers::Action;
    match verb {
        Verb::ServerList => server::list(inner, call, 0).await,
        Verb::ServerCreate => server::create(inner, call, args).await,
        Verb::ServerInfo => server::info(inner, call, args).await,
        Verb::ServerStart => server::act(inner, call, args, Action::Start).await,
        Verb::ServerStop => server::act(inner, call, args, Action::Stop).await,
        Verb::ServerRestart => server::act(inner, call, args, Action::Restart).await,
        Verb::ServerDelete => server::ask_to_delete(inner, call, args).await,
        Verb::ServerLogs => server::logs(inner, call, args).await,
        Verb::ServerShare => share::share(inner, call, args).await,
        Verb::ServerUnshare => share::unshare(inner, call, args).await,
        Verb::ServerLeave => share::leave(inner, call, args).await,
        Verb::ScheduleCreate => schedule::create(inner, call, args).await,
        Verb::ScheduleList => schedule::list(inner, call, args).await,
        Verb::ScheduleDelete => schedule::ask_to_delete(inner, call, args).await,
        Verb::ScheduleEnable => schedule::switch(inner, call, args, true).await,
        Verb::ScheduleDisable => schedule::switch(inner, call, args, false).await,
        Verb::ScheduleRun => schedule::run_now(inner, call, args).await,
        Verb::SchedulePreview => schedule::preview(inner, args),
        Verb::ApikeyCreate => apikey::create(inner, call, args).await,
        Verb::ApikeyList => apikey::list(inner, call, 0).await,
        Verb::ApikeyRevoke => apikey::ask_to_revoke(inner, call, args).await,
        Verb::Profile => profile::show(inner, call).await,
        Verb::Help => Ok(help::show(inner)),
    }
}
