//! Builds the HTTP server and sets its limits.

use std::{net::TcpListener, num::NonZero, thread::available_parallelism};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServiceFactory, ServiceRequest},
    error::QueryPayloadError,
    middleware::{Condition, from_fn},
    web::{self, ServiceConfig},
};

use crate::{
    auth, connection, docs,
    network::{self, Network},
    observe,
    problem::Problem,
    routes,
    services::Services,
    wording,
};

/// Serves until the handle stops it, and lets running requests end.
///
/// # Errors
/// The listener cannot be used.
pub fn serve(
    listener: TcpListener,
    services: Services,
    probes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    network: Network,
) -> std::io::Result<Server> {
    let workers = available_parallelism().map_or(1, NonZero::get).min(network.connections);
    let (client_timeout, keep_alive) = (network.client_timeout, network.keep_alive);
    let (connections, drain) = (network.connections / workers, network.drain);
    let server = HttpServer::new(move || app(services.clone(), probes.clone(), network.clone()))
        .workers(workers)
        .client_request_timeout(client_timeout)
        .keep_alive(keep_alive)
        .max_connections(connections)
        .on_connect(connection::watch(client_timeout, keep_alive + client_timeout))
        .shutdown_timeout(drain.as_secs())
        .disable_signals();
    Ok(server.listen(listener)?.run())
}

fn app(
    services: Services,
    probes: impl Fn(&mut ServiceConfig) + 'static,
    network: Network,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let closing = network.closing.clone();
    let cors = Condition::new(!network.origins.is_empty(), network::cors(&network.origins));
    App::new()
        .app_data(web::Data::new(services))
        .app_data(web::Data::new(network))
        .app_data(web::PathConfig::default().error_handler(|_, _| Problem::unknown_path().into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| unreadable_query(&error).into()))
        .configure(probes)
        .service(routes::table().into_scope().default_service(web::to(no_route)).wrap(from_fn(auth::authenticate)))
        .configure(docs::configure)
        .default_service(web::to(no_route))
        .wrap(cors)
        .wrap(from_fn(move |request, next| observe::observe(closing.clone(), request, next)))
}

async fn no_route() -> Problem {
    Problem::unknown_path()
}

fn unreadable_query(error: &QueryPayloadError) -> Problem {
    let sentence = match error {
        QueryPayloadError::Deserialize(error) => error.to_string(),
        _ => String::new(),
    };
    Problem::invalid_query(wording::of_error("", &sentence, "parameter"))
}
