//! The same work done bare: actix-web, and nothing that is not needed for the answer.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    App, HttpResponse, HttpServer,
    error::{ErrorInternalServerError, ErrorNotFound},
    web::{self, Bytes, Data, Path},
};
use deadpool::managed::{self, Metrics, Pool, RecycleError, RecycleResult};
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::error::{Error, Result};

/// The most bytes that a bare answer can have.
const BYTES: usize = 1 << 16;
/// How many connections the pipelined queries share; as many carry the reads of `agis-api` at its default.
const SHARED: usize = 2;

/// What `GET /users/me` asks the database.
const ONE_QUERY: &str = "select credits, tier, join_date::text, (select count(*) from game_servers s
    where s.discord_id = users.discord_id and s.deleted_at is null) from users where discord_id = $1";

/// A connection and its prepared query.
struct Prepared {
    client: Client,
    query: Statement,
}

impl Prepared {
    async fn connect(url: &str) -> std::result::Result<Self, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let query = client.prepare(ONE_QUERY).await?;
        Ok(Self { client, query })
    }

    async fn answer(&self, user: &str) -> actix_web::Result<HttpResponse> {
        let row = self.client.query_opt(&self.query, &[&user]).await.map_err(ErrorInternalServerError)?;
        Ok(json(user, &row.ok_or_else(|| ErrorNotFound("no such user"))?))
    }
}

fn json(user: &str, row: &Row) -> HttpResponse {
    #[derive(serde::Serialize)]
    struct User<'a> {
        discord_id: &'a str,
        credits: i32,
        tier: &'a str,
        servers: i64,
        joined_at: &'a str,
    }
    HttpResponse::Ok().json(User {
        discord_id: user,
        credits: row.get(0),
        tier: row.get(1),
        joined_at: row.get(2),
        servers: row.get(3),
    })
}

/// Connections for a pool that asks the server nothing at a checkout.
struct Manager(String);

impl managed::Manager for Manager {
    type Type = Prepared;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> std::result::Result<Prepared, tokio_postgres::Error> {
        Prepared::connect(&self.0).await
    }

    async fn recycle(&self, lent: &mut Prepared, _: &Metrics) -> RecycleResult<tokio_postgres::Error> {
        if lent.client.is_closed() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}

/// Serves the baselines until the process ends; tells its address on stdout.
pub(crate) async fn serve(database: &str, connections: usize) -> Result {
    let pool = Pool::<Manager>::builder(Manager(database.to_owned())).max_size(connections).build();
    let pool = Data::new(pool.map_err(|error| Error::new(error.to_string()))?);
    let mut shared = vec![];
    for _ in 0..SHARED {
        shared.push(Arc::new(Prepared::connect(database).await?));
    }
    let body = Data::new(Bytes::from(vec![b'x'; BYTES]));
    let started = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    crate::report::say(&listener.local_addr()?.to_string());
    let server = HttpServer::new(move || {
        let worker = started.fetch_add(1, Ordering::Relaxed);
        App::new()
            .app_data(pool.clone())
            .app_data(body.clone())
            .app_data(Data::new(shared[worker % SHARED].clone()))
            .route("/bare/{bytes}", web::get().to(bare))
            .route("/pooled/{user}", web::get().to(pooled))
            .route("/pipelined/{user}", web::get().to(pipelined))
    });
    Ok(server.listen(listener)?.run().await?)
}

async fn bare(bytes: Path<usize>, body: Data<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body.slice(..(*bytes).min(BYTES)))
}

async fn pooled(number: Path<u64>, pool: Data<Pool<Manager>>) -> actix_web::Result<HttpResponse> {
    pool.get().await.map_err(ErrorInternalServerError)?.answer(&user(*number)).await
}

async fn pipelined(number: Path<u64>, shared: Data<Arc<Prepared>>) -> actix_web::Result<HttpResponse> {
    shared.answer(&user(*number)).await
}

fn user(number: u64) -> String {
    (100_000_000_000_000_000 + number).to_string()
}
