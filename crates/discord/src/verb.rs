//! The commands by name, and the facts that are known ahead of their work.

use crate::answer::Style;

macro_rules! verbs {
    ($($variant:ident = $word:literal,)+) => {
        /// Command of a user.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Verb {
            $($variant,)+
        }

        impl Verb {
            /// Every command.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the command as it is typed, and counted.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Returns the command of a typed text.
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
    ServerAnnounce = "server announce",
    ServerHold = "server hold",
    ServerRelease = "server release",
    ServerIdle = "server idle",
    ServerDelete = "server delete",
    ServerSettings = "server settings",
    ServerPlayers = "server players",
    ServerLogs = "server logs",
    ServerCommand = "server command",
    ServerShare = "server share",
    ServerUnshare = "server unshare",
    ServerLeave = "server leave",
    ScheduleCreate = "schedule create",
    ScheduleList = "schedule list",
    ScheduleDelete = "schedule delete",
    ScheduleEnable = "schedule enable",
    ScheduleDisable = "schedule disable",
    ScheduleRun = "schedule run",
    ScheduleHistory = "schedule history",
    ScheduleCancel = "schedule cancel",
    ScheduleSkip = "schedule skip",
    SchedulePostpone = "schedule postpone",
    SchedulePreview = "schedule preview",
    ApikeyCreate = "apikey create",
    ApikeyList = "apikey list",
    ApikeyRevoke = "apikey revoke",
    Profile = "profile",
    Help = "help",
}

impl Verb {
    /// Returns who sees the answer. A deferral says it already, so it is decided ahead of the work. Actions on a server
    /// concern the channel; answers to questions concern the user alone.
    pub(crate) fn style(self) -> Style {
        match self {
            Self::ServerStart
            | Self::ServerStop
            | Self::ServerRestart
            | Self::ServerAnnounce
            | Self::ServerHold
            | Self::ServerRelease
            | Self::ScheduleRun
            | Self::ScheduleSkip
            | Self::SchedulePostpone
            | Self::ScheduleCancel => Style::Public,
            _ => Style::Private,
        }
    }

    /// Returns whether a failed command may have changed something.
    pub(crate) fn changes(self) -> bool {
        use Verb::*;
        matches!(
            self,
            ServerCreate
                | ServerStart
                | ServerStop
                | ServerRestart
                | ServerAnnounce
                | ServerHold
                | ServerRelease
                | ServerIdle
                | ServerSettings
                | ServerCommand
                | ServerShare
                | ServerUnshare
                | ServerLeave
                | ScheduleCreate
                | ScheduleEnable
                | ScheduleDisable
                | ScheduleRun
                | ScheduleCancel
                | ScheduleSkip
                | SchedulePostpone
                | ApikeyCreate
        )
    }
}
