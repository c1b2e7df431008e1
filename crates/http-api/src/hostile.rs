//! Tests that no header and no query makes its reader panic, and that a value is read as it was sent.

use actix_web::{
    http::header::{AUTHORIZATION, HeaderName, HeaderValue},
    test::TestRequest,
    web::Query,
};
use agis_base::UserId;
use proptest::prelude::*;

use crate::{
    auth,
    current::{self, RequestId},
    idempotency, schedules, servers,
};

fn with(name: HeaderName, value: HeaderValue) -> TestRequest {
    TestRequest::default().insert_header((name, value))
}

/// Generates header values, many of them close to valid ones.
fn value() -> impl Strategy<Value = HeaderValue> {
    let near = "(?i:bearer|basic)?[ \\t]{0,3}(agis_)?[ -~]{0,50}".prop_map(String::into_bytes);
    let any = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![near, any].prop_filter_map("no header", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

proptest! {
    #[test]
    fn authorization(value in value()) {
        let request = with(AUTHORIZATION, value.clone()).to_srv_request();
        if let Some(key) = auth::presented(request.headers()) {
            prop_assert!(value.to_str().is_ok_and(|text| text.ends_with(key) || text.trim_end().ends_with(key)));
            prop_assert_eq!(key.trim(), key);
        }
    }

    #[test]
    fn request_id(value in value()) {
        if let Some(id) = RequestId::taken(&with(current::REQUEST_ID, value.clone()).to_srv_request()) {
            let id = id.as_str();
            prop_assert_eq!(id.as_bytes(), value.as_bytes());
            prop_assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn idempotency_key(value in value()) {
        let user = UserId::from_stored("1");
        let request = with(HeaderName::from_static("idempotency-key"), value.clone()).to_http_request();
        if let Ok(Some(key)) = idempotency::key(&request, &user) {
            prop_assert!(key.as_bytes().ends_with(value.as_bytes()) && !value.is_empty());
        }
    }

    #[test]
    fn query(text in "((cursor|limit|status|name|server_id|enabled|x)(=|%3d|&)?[ -~]{0,12}&?){0,4}|\\PC{0,30}") {
        let _ = Query::<servers::ServersQuery>::from_query(&text).map(|query| query.piece::<agis_base::ServerId>());
        let _ = Query::<schedules::SchedulesQuery>::from_query(&text).map(|query| query.piece::<agis_base::ScheduleId>());
    }
}
