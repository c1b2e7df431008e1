//! The HTTP server for probes and scrapes, on a port of its own.

use std::net::TcpListener;

use actix_web::{
    App, Handler, HttpResponse, HttpServer, Resource, Responder,
    dev::Server,
    http::header::{ALLOW, ContentType},
    web,
};

use crate::{health::Health, telemetry::Metrics};

/// `/healthz`, `/readyz` and `/metrics`. It runs until its future is dropped.
///
/// # Errors
/// Where the listener cannot be used.
pub fn serve(listener: TcpListener, health: Health, metrics: Metrics) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        let (metrics, told) = (metrics.clone(), health.clone());
        let scrape = move || {
            told.record();
            let text = metrics.render();
            async { HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text) }
        };
        App::new().configure(probes(health.clone(), Detail::Full)).route("/metrics", web::get().to(scrape))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

/// How much a probe tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What is degraded, and why: for operators.
    Full,
    /// What is degraded: for everybody.
    Names,
}

/// The probes, to stand on any server: `/healthz` (the process answers), `/readyz` and `/api/health` (traffic may come).
pub fn probes(health: Health, detail: Detail) -> impl Fn(&mut web::ServiceConfig) + Clone {
    move |config| {
        let health = health.clone();
        let ready = move || {
            let mut report = health.report();
            if detail == Detail::Names {
                report.degraded.values_mut().for_each(|why| "degraded".clone_into(why));
            }
            let mut answer = if report.is_ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
            async move { answer.insert_header(("Cache-Control", "no-store")).json(report) }
        };
        let alive = || async { HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n") };
        config
            .service(probe("/healthz", alive))
            .service(probe("/readyz", ready.clone()))
            .service(probe("/api/health", ready));
    }
}

/// Load balancers ask by HEAD as well.
fn probe<F>(path: &str, handler: F) -> Resource
where
    F: Handler<(), Output: Responder + 'static>,
{
    let other = || async { HttpResponse::MethodNotAllowed().insert_header((ALLOW, "GET, HEAD")).finish() };
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(other))
}
