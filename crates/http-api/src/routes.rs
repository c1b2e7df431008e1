//! The table of the routes.

use utoipa::OpenApi;

use crate::{
    actions, console, games, holds, hosts, keys, operations, power,
    problem::Code,
    resource::Table,
    schedules::{self, on_server, runs, templates},
    servers, settings, shares, users,
};

/// Lists each route: the handler, whose attribute describes it, and the problems of this route alone.
macro_rules! routes {
    ($($module:ident::$handler:ident: $($code:ident)*;)+) => {
        /// Returns the routes under `/api/v1`.
        pub(crate) fn table() -> Table {
            let mut table = Table::default();
            $({
                #[derive(OpenApi)]
                #[openapi(paths($module::$handler))]
                struct Described;
                table.add($module::$handler, Described::openapi(), &[$(Code::$code),*]);
            })+
            table
        }
    };
}

routes! {
    keys::list: ;
    keys::create: ScopeBeyondKey LimitBeyondKey AddressesBeyondKey NoUser TooManyKeys KeyAlreadyShown Conflict InvalidValue;
    keys::get: ;
    keys::change: ScopeBeyondKey LimitBeyondKey AddressesBeyondKey ExpiryBeyondKey Conflict InvalidValue;
    keys::revoke: ;
    keys::rotate: ScopeBeyondKey LimitBeyondKey AddressesBeyondKey NoUser TooManyKeys AlreadyRotated KeyEnded
        KeyAlreadyShown Conflict InvalidValue;

    servers::list: ;
    servers::create: NotFound NotAllowed NameTaken GameUnavailable TooManyServers Conflict InvalidValue InvalidSettings;
    servers::get: ;
    servers::players: ;
    servers::change: NotAllowed NameTaken Conflict InvalidValue;
    power::delete: InsufficientCredits NotAllowed Deleting NoHost Conflict;
    power::start: InsufficientCredits NotAllowed Deleting NoHost Conflict;
    power::stop: InsufficientCredits NotAllowed Deleting NoHost Conflict Gate TooManySchedules InvalidValue;
    power::restart: InsufficientCredits NotAllowed Deleting NoHost UnfitSettings Conflict Gate TooManySchedules
        InvalidValue;
    power::wake: InsufficientCredits NotAllowed Deleting NoHost Conflict;
    actions::begin: NotFound TooManyActions Conflict InvalidValue;
    actions::list: ;
    actions::get: ;
    actions::cancel: NotAllowed;
    holds::hold: NotAllowed InvalidValue;
    holds::release: NotAllowed;
    settings::get: NotAllowed;
    settings::change: NotAllowed Conflict InvalidValue InvalidSettings;
    shares::list: NotAllowed;
    shares::put: NotAllowed TooManyShares InvalidValue;
    shares::delete: NotAllowed InvalidValue;
    console::logs: NotAllowed NoHost NoConsole ConsoleUnavailable TooManyFollowers FollowersFull;
    console::command: NotAllowed NoHost NotRunning NoConsole NoReply OutcomeUnknown InvalidValue ConsoleBusy
        ConsoleUnavailable;
    console::commands: NotAllowed;

    operations::of_server: NotAllowed;
    operations::get: NotAllowed;

    schedules::list: ;
    schedules::create: NotFound NotAllowed TooManySchedules Conflict InvalidValue InvalidCron InvalidTimezone NeverFires;
    schedules::preview: InvalidValue InvalidCron InvalidTimezone NeverFires;
    templates::list: ;
    schedules::of_server: ;
    on_server::list: NotAllowed;
    schedules::get: ;
    schedules::change: NotAllowed Conflict InvalidValue InvalidCron InvalidTimezone NeverFires;
    schedules::delete: RunGoesOn;
    runs::run_now: InsufficientCredits NotAllowed Deleting NoHost UnfitSettings Gate OutcomeUnknown Conflict;
    runs::list: ;
    runs::get: ;
    runs::cancel: RunEnded;
    runs::postpone: NotAllowed NothingAhead OutcomeUnknown InvalidValue;

    users::me: ;
    users::stats: ;
    games::list: ;
    hosts::list: ;
}
