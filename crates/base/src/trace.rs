use std::{fmt, num::NonZero};

/// Ids by which an operator finds every log line that one request caused, in any process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Id of the request: 1 to [`REQUEST_ID_MAX`] visible characters of ASCII.
    pub request_id: String,
    /// Trace that the request is part of, as its caller says.
    pub trace_id: Option<TraceId>,
}

/// Maximum length of a request's id.
pub const REQUEST_ID_MAX: usize = 128;

impl Trace {
    /// Makes an id for work that nobody outside asked for.
    pub fn ours(id: impl fmt::Display) -> Self {
        Self { request_id: id.to_string(), trace_id: None }
    }
}

/// `trace-id` of [W3C Trace Context](https://www.w3.org/TR/trace-context/): 32 digits of lower-case hex, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(NonZero<u128>);

impl TraceId {
    /// Reads a `traceparent` header. Section 3.2.2 wants an invalid header ignored, so there is no error. A version
    /// after 00 may add fields behind a further dash. No library parses it: `trace-context` has had no release since
    /// 2019, `traceparent` never reached 0.1, and `opentelemetry` brings a tracer along.
    pub fn of_traceparent(header: &str) -> Option<Self> {
        let (version, rest) = header.split_at_checked(2)?;
        let (trace, rest) = rest.strip_prefix('-')?.split_at_checked(32)?;
        let (parent, rest) = rest.strip_prefix('-')?.split_at_checked(16)?;
        let (flags, more) = rest.strip_prefix('-')?.split_at_checked(2)?;
        let is_hex = [version, parent, flags].iter().all(|part| hex(part).is_some());
        let is_known = version != "ff" && (more.is_empty() || version != "00" && more.starts_with('-'));
        if !is_hex || !is_known || hex(parent) == Some(0) {
            return None;
        }
        Self::of_hex(trace)
    }

    /// Reads its 32 digits.
    pub fn of_hex(digits: &str) -> Option<Self> {
        (digits.len() == 32).then(|| hex(digits)).flatten().and_then(NonZero::new).map(Self)
    }
}

fn hex(digits: &str) -> Option<u128> {
    let is_lower = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    is_lower.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn traceparent_follows_the_recommendation() {
        for (header, read) in [
            (format!("00-{TRACE}-00f067aa0ba902b7-01"), true),
            (format!("00-{TRACE}-00f067aa0ba902b7-00"), true),
            (format!("cc-{TRACE}-00f067aa0ba902b7-01"), true),
            (format!("cc-{TRACE}-00f067aa0ba902b7-01-what the future will be like"), true),
            (format!("cc-{TRACE}-00f067aa0ba902b7-01.what"), false),
            (format!("00-{TRACE}-00f067aa0ba902b7-01-what"), false),
            (format!("00-{TRACE}-00f067aa0ba902b7-01-"), false),
            (format!("ff-{TRACE}-00f067aa0ba902b7-01"), false),
            (format!("00-{TRACE}-0000000000000000-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()), false),
            (format!("00-{TRACE}-00F067AA0BA902B7-01"), false),
            (format!("0-{TRACE}-00f067aa0ba902b7-01"), false),
            (format!("00-{TRACE}-00f067aa0ba902b7-1"), false),
            (format!("00-{TRACE}-00f067aa0ba902b7"), false),
            (format!("00-{TRACE}\n-00f067aa0ba902b7-01"), false),
            (format!(" 00-{TRACE}-00f067aa0ba902b7-01"), false),
            (format!("+0-{TRACE}-00f067aa0ba902b7-01"), false),
            (format!("00-{}ü-00f067aa0ba902b7-01", &TRACE[2..]), false),
            (String::new(), false),
            (TRACE.to_owned(), false),
        ] {
            let trace = TraceId::of_traceparent(&header).map(|trace| trace.to_string());
            assert_eq!(trace.as_deref(), read.then_some(TRACE), "{header}");
        }
    }

    #[test]
    fn an_id_is_written_with_all_its_digits() {
        let small = format!("{:032x}", 7);
        assert_eq!(TraceId::of_hex(&small).map(|id| id.to_string()), Some(small));
        assert_eq!(TraceId::of_hex("7"), None);
    }
}
