//! Describes the paths that need no key. Another crate serves the probes.

#![expect(dead_code, reason = "the functions and types are there for what is said of them")]

use utoipa::ToSchema;

/// Whether the process accepts traffic.
#[derive(ToSchema)]
#[schema(examples(json!({ "status": "ok" }), json!({ "status": "degraded" })))]
struct Readiness {
    /// `ok`, `degraded`, `starting` or `draining`.
    status: String,
}

/// Is the process alive?
#[utoipa::path(
    get, path = "/healthz", operation_id = "getLiveness", tag = "service",
    responses((status = 200, description = "The process is alive.", body = String, content_type = "text/plain", example = "ok\n")),
)]
pub(super) fn healthz() {}

/// Is the process ready?
///
/// Answers in one word. The operators' address explains it at `/readyz`.
#[utoipa::path(
    get, path = "/api/health", operation_id = "getHealth", tag = "service",
    responses(
        (status = 200, description = "Ready, perhaps degraded.", body = Readiness),
        (status = 503, description = "Starting, or shutting down.", body = Readiness),
    ),
)]
pub(super) fn health() {}

/// Get this document
#[utoipa::path(
    get, path = "/api/openapi.json", operation_id = "getOpenapi", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
)]
pub(super) fn document() {}

/// Read this document and try it out
#[utoipa::path(
    get, path = "/api/docs/", operation_id = "getDocs", tag = "service",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
)]
pub(super) fn docs() {}
