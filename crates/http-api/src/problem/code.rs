//! The stable words by which a program tells problems apart. A word never changes its meaning; new ones may come.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($variant:ident = $word:literal, $status:ident, $meaning:literal;)+) => {
        /// Which problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Code {
            $($variant,)+
        }

        impl Code {
            /// Every code.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word that callers meet.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The status that it comes with.
            pub(crate) fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)+
                }
            }

            /// When a caller meets it, for the documentation.
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
        "The body is no JSON object, or a field is missing, unknown or of another type.";
    InvalidQuery = "invalid_query", BAD_REQUEST, "A query parameter is unknown, or its value cannot be taken.";
    InvalidCursor = "invalid_cursor", BAD_REQUEST, "The cursor is not the `next_cursor` of an earlier answer, or `Last-Event-ID` is not an event of this console.";
    InvalidIdempotencyKey = "invalid_idempotency_key", BAD_REQUEST,
        "The header `Idempotency-Key` is empty, too long, not visible ASCII, or there twice.";

    MissingKey = "missing_key", UNAUTHORIZED, "There is no `Authorization: Bearer` with an API key.";
    MalformedKey = "malformed_key", UNAUTHORIZED, "What was presented has not the form of an API key.";
    InvalidKey = "invalid_key", UNAUTHORIZED, "There is no such API key; it may have been revoked.";
    ExpiredKey = "expired_key", UNAUTHORIZED, "The API key has ended.";

    InsufficientCredits = "insufficient_credits", PAYMENT_REQUIRED,
        "The server's owner has not the credits for its first hour, beside those that other starts have reserved. Only \
         where the operator charges for servers.";

    MissingScope = "missing_scope", FORBIDDEN, "The API key has not the scope that this needs.";
    ScopeBeyondKey = "scope_beyond_key", FORBIDDEN,
        "A key cannot give a scope that it has not itself, nor widen or rotate a key that has it.";
    LimitBeyondKey = "limit_beyond_key", FORBIDDEN,
        "A key cannot give more requests per hour than it has, nor widen or rotate a key that has more.";
    AddressesBeyondKey = "addresses_beyond_key", FORBIDDEN,
        "A key that is narrowed to some addresses cannot give more of them, nor widen or rotate a key that has more.";
    ExpiryBeyondKey = "expiry_beyond_key", FORBIDDEN, "A key that ends cannot widen a key that ends later, or never.";
    AddressNotAllowed = "address_not_allowed", FORBIDDEN, "The API key may not be used from your address.";
    NotAllowed = "not_allowed", FORBIDDEN, "You may see this, not act on it.";

    NotFound = "not_found", NOT_FOUND, "There is no such thing, or it is another's.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED,
        "The resource does not take that method; the header `Allow` names those that it takes.";

    Conflict = "conflict", CONFLICT, "This has changed meanwhile; look again and retry.";
    NoUser = "no_user", CONFLICT, "The key's user is gone.";
    AlreadyRotated = "already_rotated", CONFLICT, "The key has been replaced before; rotate the one that replaced it.";
    KeyEnded = "key_ended", CONFLICT, "The key has expired and cannot be rotated.";
    TooManyKeys = "too_many_keys", CONFLICT, "You have as many keys as allowed.";
    NameTaken = "name_taken", CONFLICT, "You have another server of that name, or of one that looks the same.";
    GameUnavailable = "game_unavailable", CONFLICT,
        "The host cannot run the game at the moment; `detail` says why.";
    TooManyServers = "too_many_servers", CONFLICT, "You have as many servers as allowed.";
    TooManySchedules = "too_many_schedules", CONFLICT, "The server has as many schedules as allowed, or you have made as many.";
    Deleting = "deleting", CONFLICT, "The server is being deleted and takes no other operation.";
    NoHost = "no_host", CONFLICT, "The server was made by an earlier version and no host here runs it.";

    NotRunning = "not_running", CONFLICT, "The server does not run, so nobody is there to be told anything.";
    NoConsole = "no_console", CONFLICT,
        "The server takes no commands: its host passes none on, or a version started it that did not; a restart helps then.";

    IdempotencyInFlight = "idempotency_in_flight", CONFLICT,
        "The first request with this `Idempotency-Key` is still at work, or was lost with its process; `Retry-After` says by \
         when it can be sent again.";
    OutcomeUnknown = "outcome_unknown", CONFLICT,
        "An earlier request with this `Idempotency-Key` was cut off while it typed; nobody knows whether the game got the \
         line, and it is not typed again. Look at the console.";
    KeyAlreadyShown = "key_already_shown", CONFLICT,
        "The request has made an API key before, which is shown once; `id` names it, to be rotated or revoked.";

    SlowBody = "slow_body", REQUEST_TIMEOUT, "The body did not come in time.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB.";
    NotJson = "not_json", UNSUPPORTED_MEDIA_TYPE, "The body is not said to be `application/json`.";

    InvalidValue = "invalid_value", UNPROCESSABLE_ENTITY, "A field has a value that cannot be taken; `detail` names it.";
    InvalidCron = "invalid_cron", UNPROCESSABLE_ENTITY, "The cron expression cannot be read.";
    InvalidTimezone = "invalid_timezone", UNPROCESSABLE_ENTITY, "The time zone is not an IANA name.";
    NeverFires = "never_fires", UNPROCESSABLE_ENTITY, "No day matches the cron expression.";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "The `Idempotency-Key` stands for another request: with another body or query, or by a key with other scopes.";

    TooManyIdempotencyKeys = "too_many_idempotency_keys", TOO_MANY_REQUESTS,
        "As many of your `Idempotency-Key`s as allowed are remembered, each for a day.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS,
        "The key has used its requests per hour; `Retry-After` says when the next is free.";
    TooManyFollowers = "too_many_followers", TOO_MANY_REQUESTS,
        "You follow as many consoles as allowed; end one first.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong here; `request_id` leads an operator to it.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE,
        "The database is not available; repeat what was sent with an `Idempotency-Key`, otherwise look first whether it took \
         effect.";
    HostElsewhere = "host_elsewhere", SERVICE_UNAVAILABLE,
        "The server lives on a host that the process which was asked does not serve; ask one that does.";
    ConsoleBusy = "console_busy", SERVICE_UNAVAILABLE,
        "The game has not taken earlier commands yet; this one was not passed on.";
    ConsoleUnavailable = "console_unavailable", SERVICE_UNAVAILABLE, "The host cannot get at the console for the moment.";
    FollowersFull = "followers_full", SERVICE_UNAVAILABLE,
        "The process which was asked has as many followers of consoles as it allows; try again in a while.";
    TimedOut = "timed_out", SERVICE_UNAVAILABLE,
        "This was not done in time; repeat what was sent with an `Idempotency-Key`, otherwise look first whether it took \
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
