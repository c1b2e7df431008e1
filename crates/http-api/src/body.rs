//! What comes in.

use std::{future::Future, pin::Pin, time::Duration};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    web::{Bytes, BytesMut, Data},
};
use futures_util::StreamExt;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    network::Network,
    problem::{Code, Problem},
    wording,
};

/// No resource here is larger.
const BODY_MAX: usize = 64 * 1024;

/// A JSON body. What is wrong with it is said by the name of the field.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value.split(';').next().is_some_and(|mime| mime.trim().eq_ignore_ascii_case("application/json"))
        });
        let payload = payload.take();
        let within = request.app_data::<Data<Network>>().map_or(Duration::MAX, |network| network.client_timeout);
        Box::pin(async move {
            if !is_json {
                let detail = "send the body as JSON, with the header 'Content-Type: application/json'";
                return Err(Problem::new(Code::NotJson, detail));
            }
            let body = timeout(within, collect(payload)).await.map_err(|_| Problem::slow_body(within))?;
            read(&body?).map(Self)
        })
    }
}

/// The same where nothing has to be said: no body stands for the defaults.
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

/// All of a body, within its limit.
pub(crate) async fn collect(mut payload: Payload) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Code::InvalidBody, "the body did not arrive whole"))?;
        if body.len() + chunk.len() > BODY_MAX {
            let detail = format!("the body is larger than {BODY_MAX} bytes");
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let invalid = |detail: String| Problem::new(Code::InvalidBody, detail);
    // An array would do as well: its items would be taken for the fields, in the order of the source.
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

/// Tells `null` (take the value away) from an absent field (leave it).
pub(crate) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
