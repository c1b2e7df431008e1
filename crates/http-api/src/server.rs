//! The server, its limits, and the table of routes.

use std::{net::TcpListener, num::NonZero, sync::Arc, thread::available_parallelism};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServiceFactory, ServiceRequest},
    error::QueryPayloadError,
    http::header::HeaderMap,
    middleware::{Condition, from_fn},
    web::{self, ServiceConfig},
};
use agis_accounts::Accounts;
use agis_apikeys::{ApiKeys, Block};
use agis_idempotency::Idempotency;
use agis_ratelimit::Limiter;
use agis_scheduler::Schedules;
use agis_servers::Servers;

use crate::{
    LegacyPolicy, auth, connection, console, docs,
    followers::Followers,
    forwarded::Unnamed,
    games, keys, legacy,
    network::{self, Network},
    observe, operations,
    problem::Problem,
    routes::{Table, resource},
    schedules, servers, users, wording,
};

/// What an operator decides about who is let in.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Whose word on a client's address counts.
    pub trusted_proxies: Vec<Block>,
    /// The first that should perhaps be among them.
    pub unnamed: Unnamed,
    /// Legacy tokens, where they are taken.
    pub legacy: Option<LegacyPolicy>,
}

impl Edge {
    /// What was presented, if it is a legacy token and those are taken.
    pub(crate) fn legacy_token(&self, text: &str, headers: &HeaderMap) -> Option<legacy::Token> {
        self.legacy.as_ref()?.token(text, headers)
    }
}

/// What the routes speak to.
#[derive(Clone)]
pub struct Services {
    /// Keys.
    pub keys: ApiKeys,
    /// Limits.
    pub limiter: Arc<dyn Limiter>,
    /// Servers and operations.
    pub servers: Servers,
    /// Schedules.
    pub schedules: Schedules,
    /// Users.
    pub accounts: Accounts,
    /// Who is let in.
    pub edge: Arc<Edge>,
    /// What was asked before.
    pub idempotency: Idempotency,
    /// Who follows a console.
    pub followers: Followers,
}

/// Serves until its handle is told to stop, which lets running requests end.
///
/// # Errors
/// Where the listener cannot be used.
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
        .app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found("no such resource").into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| unreadable_query(&error).into()))
        .configure(probes)
        .service(
            table()
                .into_scope(web::scope("/api/v1"))
                .default_service(web::to(no_route))
                .wrap(from_fn(auth::authenticate)),
        )
        .configure(docs::configure)
        .default_service(web::to(no_route))
        .wrap(cors)
        .wrap(from_fn(move |request, next| observe::observe(closing.clone(), request, next)))
}

/// What stands under `/api/v1`.
pub(crate) fn table() -> Table {
    Table::default()
        // Tried in this order: first those that are compared, then those that are searched for their parts.
        .service(resource("/auth/keys").get(keys::list).post(keys::create))
        .service(resource("/servers").get(servers::list).post(servers::create))
        .service(resource("/schedules").get(schedules::list).post(schedules::create))
        .service(resource("/schedules/preview").post(schedules::preview))
        .service(resource("/users/me").get(users::me))
        .service(resource("/users/me/stats").get(users::stats))
        .service(resource("/games").get(games::list))
        .service(resource("/auth/keys/{id}").get(keys::get).patch(keys::change).delete(keys::revoke))
        .service(resource("/auth/keys/{id}/rotate").post(keys::rotate))
        .service(resource("/servers/{id}").get(servers::get).patch(servers::change).delete(servers::delete))
        .service(resource("/servers/{id}/start").post(servers::start))
        .service(resource("/servers/{id}/stop").post(servers::stop))
        .service(resource("/servers/{id}/restart").post(servers::restart))
        .service(resource("/servers/{id}/logs").get(console::logs))
        .service(resource("/servers/{id}/command").post(console::command))
        .service(resource("/servers/{id}/operations").get(operations::of_server))
        .service(resource("/servers/{id}/schedules").get(schedules::of_server))
        .service(resource("/operations/{id}").get(operations::get))
        .service(resource("/schedules/{id}").get(schedules::get).patch(schedules::change).delete(schedules::delete))
        .service(resource("/schedules/{id}/run").post(schedules::run_now))
        .service(resource("/schedules/{id}/runs").get(schedules::runs))
}

async fn no_route() -> Problem {
    Problem::not_found("no such resource; see the documentation for the paths there are")
}

fn unreadable_query(error: &QueryPayloadError) -> Problem {
    let sentence = match error {
        QueryPayloadError::Deserialize(error) => error.to_string(),
        _ => String::new(),
    };
    Problem::invalid_query(wording::of_error("", &sentence, "parameter"))
}
