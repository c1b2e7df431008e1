//! The HTTP server for probes and scrapes, on an address of its own.

use std::{collections::BTreeMap, net::TcpListener};

use actix_web::{
    App, Handler, HttpResponse, HttpResponseBuilder, HttpServer, Resource, Responder,
    dev::Server,
    http::header::{ALLOW, ContentType},
    web,
};

use crate::{
    health::{Health, Report},
    telemetry::Metrics,
};

/// Serves `/healthz` (the process answers), `/readyz` (traffic may come; the state of each component, and why) and
/// `/metrics` to operators, on an address of their own. Runs until its future is dropped.
///
/// # Errors
/// Fails if the listener cannot be used.
pub fn serve(listener: TcpListener, health: Health, metrics: Metrics) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        let (metrics, told, health) = (metrics.clone(), health.clone(), health.clone());
        let scrape = move || {
            told.record();
            let text = metrics.render();
            async { HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text) }
        };
        let ready = move || {
            let report = health.report();
            async move { answer(&report).json(report) }
        };
        App::new()
            .service(probe("/healthz", alive))
            .service(probe("/readyz", ready))
            .route("/metrics", web::get().to(scrape))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

/// Serves the routes that strangers may see, on the API's own address: `/healthz` (the process answers) and
/// `/api/health` (whether traffic may come, in a word).
pub fn open_probes(health: Health) -> impl Fn(&mut web::ServiceConfig) + Clone {
    move |config| {
        let health = health.clone();
        let ready = move || {
            let report = health.report();
            async move { answer(&report).json(BTreeMap::from([("status", report.status)])) }
        };
        config.service(probe("/healthz", alive)).service(probe("/api/health", ready));
    }
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}

fn answer(report: &Report) -> HttpResponseBuilder {
    let mut answer = if report.is_ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header(("Cache-Control", "no-store"));
    answer
}

/// Load balancers also ask by HEAD.
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
