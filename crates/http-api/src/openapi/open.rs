//! What is answered without a key, and where the probes come from another crate.

#![expect(dead_code, reason = "the functions and types are there for what is said of them")]

use utoipa::ToSchema;

/// Whether traffic may come.
#[derive(ToSchema)]
#[schema(examples(json!({ "status": "ok" }), json!({ "status": "degraded" })))]
struct Readiness {
    /// `ok`, `degraded`, `starting` or `draining`.
    status: String,
}

/// Does the process answer?
#[utoipa::path(
    get, path = "/healthz", operation_id = "getLiveness", tag = "service",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain", example = "ok\n")),
)]
pub(super) fn healthz() {}

/// May traffic come?
///
/// In a word. What is degraded, and why, is at `/readyz` of the address that is for operators.
#[utoipa::path(
    get, path = "/api/health", operation_id = "getHealth", tag = "service",
    responses(
        (status = 200, description = "It may, also where something is degraded.", body = Readiness),
        (status = 503, description = "Not yet, or not any more.", body = Readiness),
    ),
)]
pub(super) fn health() {}

/// This document
#[utoipa::path(
    get, path = "/api/openapi.json", operation_id = "getOpenapi", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
)]
pub(super) fn document() {}

/// This document, to read and to try out
#[utoipa::path(
    get, path = "/api/docs/", operation_id = "getDocs", tag = "service",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
)]
pub(super) fn docs() {}
