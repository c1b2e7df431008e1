//! Errors as RFC 9457 defines them: `application/problem+json` with a stable `code` and the `request_id`.

mod code;

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, Responder, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use agis_apikeys::{Beyond, KeysError, service::AuthError};
use agis_base::StoreError;
use agis_scheduler::{SchedulesError, TimingError};
use agis_servers::{ServersError, SharingError, console::ConsoleError, game::SettingProblem};
use serde::Serialize;

pub(crate) use self::code::Code;
use crate::current::RequestId;

/// Seconds after which a caller should try again.
pub(crate) const RETRY_S: u64 = 2;

/// The page that describes the API.
pub(crate) const DOCS_PATH: &str = "/api/docs";

/// An error for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    retry_after: Option<u64>,
    /// The id of the subject, where the caller cannot know it otherwise.
    id: Option<String>,
    /// Problems of single settings.
    errors: Vec<SettingProblem>,
    allow: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<SettingError<'a>>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct SettingError<'a> {
    setting: &'a str,
    problem: &'a str,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, id: None, errors: vec![], allow: None }
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Adds the seconds after which the request may be repeated.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Says that no route has this path, and where the paths are listed.
    pub(crate) fn unknown_path() -> Self {
        Self::new(Code::NotFound, format!("no such resource; {DOCS_PATH} lists the paths"))
    }

    pub(crate) fn not_found(detail: &str) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// Names the methods of the resource, also in `Allow` (RFC 9110).
    pub(crate) fn method_not_allowed(allow: &str) -> Self {
        let detail = format!("this resource takes {allow}");
        Self { allow: Some(allow.to_owned()), ..Self::new(Code::MethodNotAllowed, detail) }
    }

    pub(crate) fn invalid_query(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidQuery, detail)
    }

    /// Says that the cursor was not made here.
    pub(crate) fn invalid_cursor() -> Self {
        Self::new(Code::InvalidCursor, "cursor: is the next_cursor of an earlier answer, unchanged")
    }

    pub(crate) fn invalid_value(field: &str, rule: impl fmt::Display) -> Self {
        Self::new(Code::InvalidValue, format!("{field}: {rule}"))
    }

    /// Hides the cause from the caller and logs it under the request id.
    pub(crate) fn internal(error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        let detail = "internal error; the request_id leads an operator to the cause";
        Self::new(Code::Internal, detail)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.code.status();
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"AGIS\""));
        }
        response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/problem+json")));
        let request_id = RequestId::current();
        let body = serde_json::to_string(&Body {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: &self.detail,
            id: self.id.as_deref(),
            errors: self.errors.iter().map(|it| SettingError { setting: &it.setting, problem: &it.problem }).collect(),
            request_id: request_id.as_ref().map_or("", RequestId::as_str),
        });
        // Strings and a number can always be serialized.
        response.body(body.unwrap_or_default())
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => {
                tracing::warn!(why, "database is unavailable");
                let detail = "the database is not available at the moment; repeat a request with an Idempotency-Key, \
                              otherwise check first whether it took effect";
                Self::new(Code::Unavailable, detail).after(RETRY_S)
            }
            StoreError::Conflict(why) => {
                tracing::info!(why, "conflict with a concurrent change");
                let detail = "this has changed in the meantime; read it again and retry";
                Self::new(Code::Conflict, detail).after(RETRY_S)
            }
            StoreError::Refused(_) | StoreError::Internal(_) => Self::internal(&error),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let code = match error {
            AuthError::Malformed(_) => Code::MalformedKey,
            AuthError::Unknown => Code::InvalidKey,
            AuthError::Expired(_) => Code::ExpiredKey,
            AuthError::Address(_) => Code::AddressNotAllowed,
            AuthError::Store(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        let detail = error.to_string();
        match error {
            KeysError::NotFound => Self::not_found(&detail),
            KeysError::NoUser => Self::new(Code::NoUser, detail),
            KeysError::Invalid { field, rule } => Self::invalid_value(field, rule),
            KeysError::Beyond(Beyond::Scope(_)) => Self::new(Code::ScopeBeyondKey, detail),
            KeysError::Beyond(Beyond::Limit(_) | Beyond::Makers) => Self::new(Code::LimitBeyondKey, detail),
            KeysError::Beyond(Beyond::Addresses) => Self::new(Code::AddressesBeyondKey, detail),
            KeysError::Beyond(Beyond::End(_)) => Self::new(Code::ExpiryBeyondKey, detail),
            KeysError::AskerEnded => Self::new(Code::InvalidKey, detail),
            KeysError::Replaced(_) => Self::new(Code::AlreadyRotated, detail),
            KeysError::Ended => Self::new(Code::KeyEnded, detail),
            KeysError::TooMany(_) => Self::new(Code::TooManyKeys, detail),
            KeysError::AlreadyShown(id) => {
                Self { id: Some(id.to_string()), ..Self::new(Code::KeyAlreadyShown, detail) }
            }
            KeysError::NoRandomness(error) => Self::internal(&error),
            KeysError::Store(error) => error.into(),
        }
    }
}

impl From<ServersError> for Problem {
    fn from(error: ServersError) -> Self {
        let detail = error.to_string();
        match error {
            ServersError::NotFound(_) => Self::not_found(&detail),
            ServersError::NotAllowed | ServersError::CommandNotAllowed(_) => Self::new(Code::NotAllowed, detail),
            ServersError::Invalid { field, rule } => Self::invalid_value(field, rule),
            ServersError::InvalidSettings(errors) => Self { errors, ..Self::new(Code::InvalidSettings, detail) },
            ServersError::OperatorSetting(_) => Self::new(Code::NotAllowed, detail),
            ServersError::NameTaken => Self::new(Code::NameTaken, detail),
            ServersError::GameUnavailable(_) => Self::new(Code::GameUnavailable, detail),
            ServersError::TooMany(_) => Self::new(Code::TooManyServers, detail),
            ServersError::TooManyBatches(_) => Self::new(Code::TooManyActions, detail),
            ServersError::Deleting => Self::new(Code::Deleting, detail),
            ServersError::NoHost => Self::new(Code::NoHost, detail),
            ServersError::CannotPay(_) => Self::new(Code::InsufficientCredits, detail),
            ServersError::Unfit(_) => Self::new(Code::UnfitSettings, detail),
            ServersError::NobodyToWarn(_) => Self::new(Code::Gate, detail),
            // The only abilities that requests need are those of consoles.
            ServersError::Unable { .. } => Self::new(Code::NoConsole, detail),
            ServersError::NoReply => Self::new(Code::NoReply, detail),
            ServersError::Console(error) => error.into(),
            ServersError::Store(error) => error.into(),
        }
    }
}

impl From<SharingError> for Problem {
    fn from(error: SharingError) -> Self {
        let detail = error.to_string();
        match error {
            SharingError::TooManyShares(_) | SharingError::GranteeHasTooMany(_) => {
                Self::new(Code::TooManyShares, detail)
            }
            SharingError::Servers(error) => error.into(),
        }
    }
}

impl From<ConsoleError> for Problem {
    fn from(error: ConsoleError) -> Self {
        let detail = error.to_string();
        match error {
            ConsoleError::Position => Self::invalid_cursor(),
            ConsoleError::NotRunning => Self::new(Code::NotRunning, detail),
            ConsoleError::NoWay | ConsoleError::Mute => Self::new(Code::NoConsole, detail),
            ConsoleError::Unserved => Self::new(Code::ConsoleUnavailable, detail).after(RETRY_S),
            ConsoleError::Busy => Self::new(Code::ConsoleBusy, detail).after(RETRY_S),
            ConsoleError::Unsendable(rule) => Self::invalid_value("command", rule),
            ConsoleError::Unreached(why) => {
                tracing::info!(why, "remote console of a game cannot be reached");
                Self::new(Code::ConsoleUnavailable, detail).after(RETRY_S)
            }
            ConsoleError::Unavailable(why) => {
                tracing::warn!(why, "console is unavailable");
                let detail = "the console of this server is not available at the moment";
                Self::new(Code::ConsoleUnavailable, detail).after(RETRY_S)
            }
        }
    }
}

impl From<SchedulesError> for Problem {
    fn from(error: SchedulesError) -> Self {
        let detail = error.to_string();
        match error {
            SchedulesError::NotFound | SchedulesError::NoServer => Self::not_found(&detail),
            SchedulesError::NotAllowed => Self::new(Code::NotAllowed, detail),
            SchedulesError::NoRun => Self::not_found(&detail),
            SchedulesError::Timing(error) => error.into(),
            SchedulesError::Work(error) => error.into(),
            SchedulesError::Gate(_) => Self::new(Code::Gate, detail),
            SchedulesError::Acting => Self::new(Code::RunGoesOn, detail),
            SchedulesError::NotCancellable => Self::new(Code::RunEnded, detail),
            SchedulesError::NotPostponable | SchedulesError::TooLong | SchedulesError::PutOffAlready => {
                Self::new(Code::NothingAhead, detail)
            }
            SchedulesError::TooMany(_) | SchedulesError::TooManyOfUser(_) => Self::new(Code::TooManySchedules, detail),
            SchedulesError::Store(error) => error.into(),
        }
    }
}

impl From<TimingError> for Problem {
    fn from(error: TimingError) -> Self {
        let (code, field) = match error {
            TimingError::Cron(_) => (Code::InvalidCron, "cron_expression"),
            TimingError::Zone(_) => (Code::InvalidTimezone, "timezone"),
            TimingError::NeverFires(_) => (Code::NeverFires, "cron_expression"),
            TimingError::Instant => (Code::InvalidValue, "at"),
        };
        Self { code, ..Self::invalid_value(field, error) }
    }
}
