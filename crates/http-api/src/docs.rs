//! Serves the OpenAPI document at `/api/openapi.json`, and a page to read it and try it out at `/api/docs`. Nothing is
//! loaded from another site.

use std::sync::{Arc, LazyLock};

use actix_web::{
    HttpResponse, Resource,
    http::header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
    web::{self, Path, ServiceConfig},
};
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::{
    openapi::DOCUMENT,
    problem::{DOCS_PATH, Problem},
};

const DOCUMENT_PATH: &str = "/api/openapi.json";
/// Only scripts of this server run; the page itself writes inline styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // The validator is an external site that would receive the document.
    let config = Config::new([DOCUMENT_PATH]).validator_url("none").try_it_out_enabled(true);
    Arc::new(config.display_request_duration(true).filter(true).use_base_layout())
});

/// Adds both to a server.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        // For a person with a browser. The redirect is temporary: a later version may have a page of its own there.
        .service(readable("/", || async {
            HttpResponse::TemporaryRedirect().insert_header((LOCATION, DOCS_PATH)).finish()
        }))
        .service(readable(DOCUMENT_PATH, || async {
            HttpResponse::Ok()
                .content_type("application/json")
                .insert_header((CACHE_CONTROL, "no-cache"))
                .body(DOCUMENT.clone())
        }))
        .service(readable(DOCS_PATH, || async {
            HttpResponse::PermanentRedirect().insert_header((LOCATION, format!("{DOCS_PATH}/"))).finish()
        }))
        .service(readable("/api/docs/{file:.*}", |file: Path<String>| async move { page(&file) }));
}

fn readable<F, Args>(path: &str, handler: F) -> Resource
where
    F: actix_web::Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    let resource = web::resource(path).route(web::get().to(handler.clone())).route(web::head().to(handler));
    resource.default_service(web::to(|| async { Problem::method_not_allowed("GET, HEAD") }))
}

fn page(file: &str) -> HttpResponse {
    let Ok(Some(SwaggerFile { bytes, content_type, gzpipped, .. })) = utoipa_swagger_ui::serve(file, PAGE.clone())
    else {
        return actix_web::ResponseError::error_response(&Problem::not_found("there is no such page"));
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "max-age=3600"));
    if gzpipped {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    match bytes {
        std::borrow::Cow::Borrowed(bytes) => response.body(bytes),
        std::borrow::Cow::Owned(bytes) => response.body(bytes),
    }
}
