//! Reads ids in paths.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use agis_base::Timestamp;
use chrono::Datelike;

use crate::problem::Problem;

/// The id in a path. Handlers read ids in no other way, so they use the id that was checked.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr> FromRequest for Id<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(id(request).map(Self))
    }
}

/// Reads the id in the path of a request. A percent-encoded id is refused: a router, a proxy or the store of
/// `Idempotency-Key`s that decodes it differently would find another.
pub(crate) fn id<T: FromStr>(request: &HttpRequest) -> Result<T, Problem> {
    let mut segments = request.uri().path().split('/');
    let text = request.match_info().get("id").filter(|text| segments.any(|segment| segment == *text));
    let id = text.and_then(|text| text.parse().ok());
    id.ok_or_else(|| Problem::not_found("no such resource; write an id in a path as answers write it, see /api/docs"))
}

/// The slot of a run in a path. Clients encode its colons or not, and write UTC as `Z` or as an offset, whose encoded plus the
/// router leaves as it is.
pub(crate) struct Slot(pub(crate) Timestamp);

impl FromRequest for Slot {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let plus = |text: &str| text.replace("%2B", "+").replace("%2b", "+");
        let slot = request.match_info().get("slot").and_then(|text| plus(text).parse().ok());
        let known = slot.filter(|slot: &Timestamp| (1970..10_000).contains(&slot.year())).map(Self);
        ready(
            known.ok_or_else(|| {
                Problem::not_found("no such run; write its slot in a path as the list of runs writes it")
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{dev::Url, test::TestRequest};
    use agis_base::ServerId;
    use proptest::prelude::*;

    use super::*;

    /// Builds a request as the router leaves it, with the id that the router found.
    fn read(path: &str) -> Result<ServerId, Problem> {
        let mut request = TestRequest::with_uri(&format!("/servers/{path}")).to_srv_request();
        let url = Url::new(request.uri().clone());
        let seen = url.path().trim_start_matches("/servers/").to_owned();
        request.match_info_mut().add_static("id", seen);
        id(request.request())
    }

    #[test]
    fn an_id_is_read_in_one_way() {
        assert_eq!(read("2"), Ok(ServerId(2)));
        for other in ["%2B2", "+2", "%32", "02", "-2", "2%20", "%202", "2%00", "2.0", "2147483648", "%EF%BC%92"] {
            assert!(read(other).is_err(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_read_without_panic(path in "(%[0-9A-Fa-f]{2}|[0-9+.-]){1,12}") {
            if let Ok(id) = read(&path) {
                prop_assert_eq!(id.to_string(), path);
            }
        }
    }
}
