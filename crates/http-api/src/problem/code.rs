//! The stable codes by which a program distinguishes problems. A code never changes its meaning; new ones may be added.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($variant:ident = $word:literal, $status:ident, $meaning:literal;)+) => {
        /// The code of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Code {
            $($variant,)+
        }

        impl Code {
            /// Every code.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the word in the answer.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Returns the status of the answer.
            pub(crate) fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)+
                }
            }

            /// Returns the description for the document.
            pub(crate) fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)+
                }
            }
        }
    };
}

codes! {
    InvalidBody = "invalid_body", BAD_REQUEST,
        "The body is not a JSON object, or a field is missing, unknown or of the wrong type.";
    InvalidQuery = "invalid_query", BAD_REQUEST, "A query parameter is unknown, or its value is invalid.";
    InvalidCursor = "invalid_cursor", BAD_REQUEST, "The cursor is not the `next_cursor` of an earlier answer, or `Last-Event-ID` is not an event of this console.";
    InvalidIdempotencyKey = "invalid_idempotency_key", BAD_REQUEST,
        "The header `Idempotency-Key` is empty, too long, not visible ASCII, or sent twice.";

    MissingKey = "missing_key", UNAUTHORIZED, "There is no `Authorization: Bearer` with an API key.";
    MalformedKey = "malformed_key", UNAUTHORIZED, "The credentials do not have the form of an API key.";
    InvalidKey = "invalid_key", UNAUTHORIZED, "There is no such API key; it may have been revoked.";
    ExpiredKey = "expired_key", UNAUTHORIZED, "The API key has expired.";

    InsufficientCredits = "insufficient_credits", PAYMENT_REQUIRED,
        "The server's owner lacks the credits for its first hour, beside those that other starts have reserved. Only \
         where the operator charges for servers.";

    MissingScope = "missing_scope", FORBIDDEN, "The API key lacks the scope that this needs.";
    ScopeBeyondKey = "scope_beyond_key", FORBIDDEN,
        "A key cannot grant a scope that it lacks, nor widen or rotate a key with that scope.";
    LimitBeyondKey = "limit_beyond_key", FORBIDDEN,
        "A key cannot grant more requests per hour than it has, nor widen or rotate a key with more.";
    AddressesBeyondKey = "addresses_beyond_key", FORBIDDEN,
        "A key that is limited to some addresses cannot grant others, nor widen or rotate a key that allows others.";
    ExpiryBeyondKey = "expiry_beyond_key", FORBIDDEN, "A key that expires cannot widen a key that expires later, or never.";
    AddressNotAllowed = "address_not_allowed", FORBIDDEN, "The API key may not be used from your address.";
    NotAllowed = "not_allowed", FORBIDDEN, "You may see this, but not act on it.";

    NotFound = "not_found", NOT_FOUND, "There is no such resource, or it is somebody else's.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED,
        "The resource does not take this method; the header `Allow` lists those that it takes.";

    Conflict = "conflict", CONFLICT, "This has changed in the meantime; read it again and retry.";
    NoUser = "no_user", CONFLICT, "The key's user no longer exists.";
    AlreadyRotated = "already_rotated", CONFLICT, "The key was replaced before; rotate its successor.";
    KeyEnded = "key_ended", CONFLICT, "The key has expired and cannot be rotated.";
    TooManyKeys = "too_many_keys", CONFLICT, "You have as many keys as allowed.";
    NameTaken = "name_taken", CONFLICT, "You have another server with this name, or with one that looks the same.";
    GameUnavailable = "game_unavailable", CONFLICT,
        "The host cannot run the game at the moment; `detail` says why.";
    TooManyServers = "too_many_servers", CONFLICT, "You have as many servers as allowed.";
    TooManySchedules = "too_many_schedules", CONFLICT, "The server has as many schedules as allowed, or you have as many.";
    TooManyShares = "too_many_shares", CONFLICT,
        "The server is shared with as many members and roles as allowed, or as many servers are shared with this one.";
    TooManyActions = "too_many_actions", CONFLICT, "As many of your actions on many servers as allowed have servers left.";
    Deleting = "deleting", CONFLICT, "The server is being deleted and takes no other operation.";
    Gate = "condition_not_met", CONFLICT, "The condition of the schedule's runs is not met: the server is stopped, say, or people play.";
    RunEnded = "run_ended", CONFLICT, "The run has ended, or has no steps that could be cancelled.";
    RunGoesOn = "run_goes_on", CONFLICT,
        "A run of the schedule has stopped its server, and starts it again; delete the schedule when it has ended, or cancel it first.";
    NothingAhead = "nothing_ahead", CONFLICT,
        "The run has no stop or restart ahead behind a wait, or it would be put off until it is more than a day away.";
    NoHost = "no_host", CONFLICT, "The server was created by an earlier version, and no host runs it.";
    UnfitSettings = "unfit_settings", CONFLICT,
        "The server was not restarted, since it cannot start with its settings; `detail` says why.";

    NotRunning = "not_running", CONFLICT, "The server does not run, so it takes no commands.";
    NoConsole = "no_console", CONFLICT,
        "The server takes no commands, or its console cannot be read: its host lacks the ability, which `inabilities` of the \
         server says, or an earlier version that passed no commands on started it; a restart helps then.";

    NoReply = "no_reply", CONFLICT,
        "The game has no RCON, so nobody can tell its answer from other lines of the console.";

    IdempotencyInFlight = "idempotency_in_flight", CONFLICT,
        "The first request with this `Idempotency-Key` is still running, or was lost with its process; `Retry-After` says \
         when to send it again.";
    OutcomeUnknown = "outcome_unknown", CONFLICT,
        "An earlier request with this `Idempotency-Key` was cut off before its answer. Nobody knows whether it was carried \
         out, and it is not repeated; look at the console, or at the schedule's runs.";
    KeyAlreadyShown = "key_already_shown", CONFLICT,
        "An earlier request with this `Idempotency-Key` created an API key, which is shown only once. `id` names the key; rotate or revoke it.";

    SlowBody = "slow_body", REQUEST_TIMEOUT, "The body did not arrive in time.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB.";
    NotJson = "not_json", UNSUPPORTED_MEDIA_TYPE, "The `Content-Type` is not `application/json`.";

    InvalidValue = "invalid_value", UNPROCESSABLE_ENTITY, "A field has an invalid value; `detail` names it.";
    InvalidSettings = "invalid_settings", UNPROCESSABLE_ENTITY,
        "Settings have values that do not fit, or the game has no such settings; `errors` names each.";
    InvalidCron = "invalid_cron", UNPROCESSABLE_ENTITY, "The cron expression is invalid.";
    InvalidTimezone = "invalid_timezone", UNPROCESSABLE_ENTITY, "The time zone is not an IANA name.";
    NeverFires = "never_fires", UNPROCESSABLE_ENTITY, "No day matches the cron expression.";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "The `Idempotency-Key` belongs to another request: another body or query, or an API key with other scopes.";

    TooManyIdempotencyKeys = "too_many_idempotency_keys", TOO_MANY_REQUESTS,
        "As many of your `Idempotency-Key`s as allowed are stored, each for a day.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS,
        "The key has used its requests per hour; `Retry-After` says when the next is free.";
    TooManyFollowers = "too_many_followers", TOO_MANY_REQUESTS,
        "You follow as many consoles as allowed; end one first.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "An internal error; `request_id` leads an operator to the cause.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE,
        "The database is not available. Repeat a request with an `Idempotency-Key`; otherwise check first whether it took \
         effect.";
    ConsoleBusy = "console_busy", SERVICE_UNAVAILABLE,
        "The game has not read earlier commands yet; this one was not passed on.";
    ConsoleUnavailable = "console_unavailable", SERVICE_UNAVAILABLE,
        "The host cannot reach the console at the moment, or no process serves the host.";
    FollowersFull = "followers_full", SERVICE_UNAVAILABLE,
        "The process has as many followers of consoles as it allows; try again later.";
    TimedOut = "timed_out", SERVICE_UNAVAILABLE,
        "The request took too long. Repeat a request with an `Idempotency-Key`; otherwise check first whether it took \
         effect.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_status_and_a_meaning() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            let word = code.as_str();
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{word}");
            assert!(code.meaning().ends_with('.'), "{word}");
        }
    }
}
