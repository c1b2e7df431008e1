//! Reads request bodies.

use std::{fmt, future::Future, marker::PhantomData, pin::Pin, time::Duration};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    web::{Bytes, BytesMut, Data},
};
use futures_util::StreamExt;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, Unexpected, Visitor},
};
use tokio::time::timeout;

use crate::{
    network::Network,
    problem::{Code, Problem},
    wording,
};

/// Bytes. No resource is larger.
const BODY_MAX: usize = 64 * 1024;

/// A JSON body. Its errors name the field.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value.split(';').next().is_some_and(|mime| mime.trim().eq_ignore_ascii_case("application/json"))
        });
        let body = collect(request, payload.take());
        Box::pin(async move {
            if !is_json {
                let detail = "send the body as JSON, with the header 'Content-Type: application/json'";
                return Err(Problem::new(Code::NotJson, detail));
            }
            read(&body.await?).map(Self)
        })
    }
}

/// A JSON body that may be absent; then the defaults hold.
pub(crate) struct BodyOrDefault<T>(pub(crate) T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for BodyOrDefault<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let announced = length.is_some_and(|length| length != "0") || request.headers().contains_key(TRANSFER_ENCODING);
        if !announced {
            return Box::pin(async { Ok(Self(T::default())) });
        }
        let body = Body::from_request(request, payload);
        Box::pin(async { body.await.map(|Body(value)| Self(value)) })
    }
}

/// Reads a whole body, within the limits of size and time. Nothing else reads bodies, so every body has these limits.
pub(crate) fn collect(
    request: &HttpRequest,
    mut payload: Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let within = request.app_data::<Data<Network>>().map_or(Duration::MAX, |network| network.client_timeout);
    let whole = async move {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem::new(Code::InvalidBody, "the body is incomplete"))?;
            if body.len() + chunk.len() > BODY_MAX {
                let detail = format!("the body is larger than {BODY_MAX} bytes");
                return Err(Problem::new(Code::BodyTooLarge, detail));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    async move { timeout(within, whole).await.unwrap_or_else(|_| Err(slow_body(within))) }
}

fn slow_body(within: Duration) -> Problem {
    Problem::new(Code::SlowBody, format!("the body did not arrive within {} s", within.as_secs()))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let invalid = |detail: String| Problem::new(Code::InvalidBody, detail);
    if body.starts_with("\u{feff}".as_bytes()) {
        let detail =
            "the body begins with a byte order mark, which JSON must not (RFC 8259); save it as UTF-8 without BOM";
        return Err(invalid(detail.to_owned()));
    }
    // Both begin with a byte order mark or with an ASCII character in two or four bytes, one of them zero.
    if [b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| body.starts_with(*mark))
        || body.iter().take(2).any(|byte| *byte == 0)
    {
        return Err(invalid("the body is UTF-16 or UTF-32; send it as UTF-8 (RFC 8259)".to_owned()));
    }
    // serde would take the items of an array for the fields, in the order of the source.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid("the body is not a JSON object".to_owned()));
    }
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        invalid(unreadable(&path, error.inner()))
    })?;
    json.end().map_err(|error| invalid(unreadable("", &error)))?;
    Ok(value)
}

fn unreadable(path: &str, error: &serde_json::Error) -> String {
    if error.is_data() {
        return wording::of_error(path, &error.to_string(), "field");
    }
    format!("the body is not valid JSON (line {}, column {})", error.line(), error.column())
}

/// A whole number. JSON has one kind of numbers, and some languages write 5 as 5.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Number<T>(pub(crate) T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole(PhantomData)).map(Self)
    }
}

struct Whole<T>(PhantomData<T>);

impl<T: TryFrom<i64>> Visitor<'_> for Whole<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<T>())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &Self(PhantomData)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        // Up to this number, every whole number is a float of its own.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() != 0.0 || number.abs() > EXACT {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
        self.visit_i64(number as i64)
    }
}

/// Distinguishes `null` (remove the value) from an absent field (leave it).
pub(crate) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(json: &str) -> Option<u32> {
        serde_json::from_str::<Number<u32>>(json).ok().map(|Number(number)| number)
    }

    #[test]
    fn whole_number_may_have_a_point() {
        for (json, read) in
            [("5", Some(5)), ("5.0", Some(5)), ("5e0", Some(5)), ("0", Some(0)), ("4294967295.0", Some(u32::MAX))]
        {
            assert_eq!(number(json), read, "{json}");
        }
        for json in [
            "5.5",
            "-1",
            "-1.0",
            "4294967296",
            "1e300",
            "1e-300",
            "18446744073709551615",
            "\"5\"",
            "null",
            "true",
            "[]",
        ] {
            assert_eq!(number(json), None, "{json}");
        }
    }

    #[test]
    fn another_encoding_is_named() {
        let utf16 = "{}".encode_utf16();
        let little: Vec<u8> = utf16.clone().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = utf16.flat_map(u16::to_be_bytes).collect();
        for body in [little.clone(), big.clone(), [b"\xff\xfe", &*little].concat(), [b"\xfe\xff", &*big].concat()] {
            let problem = read::<std::collections::BTreeMap<String, u8>>(&body).expect_err("not UTF-8");
            assert!(problem.to_string().contains("UTF-16"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..60), text in "[{}\":,a-z0-9.e -]{0,40}") {
            let _ = read::<std::collections::BTreeMap<String, u8>>(&body);
            let _ = read::<std::collections::BTreeMap<String, u8>>(text.as_bytes());
        }
    }
}
