//! The same work done bare: actix-web, and nothing that is not needed for the answer.

use std::net::TcpListener;

use actix_web::{
    App, HttpResponse, HttpServer,
    error::{ErrorInternalServerError, ErrorNotFound},
    web::{self, Bytes, Data, Path},
};
use deadpool::managed::{self, Metrics, Pool, RecycleError, RecycleResult};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::error::{Error, Result};

/// The most bytes that a bare answer can have.
const BYTES: usize = 1 << 16;
/// The query of `GET /users/me`.
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

/// Connections for a pool.
struct Manager {
    url: String,
    /// Whether the server is asked at each checkout if the connection still is one, as pools do unless told otherwise;
    /// else only what is known of it here.
    asks: bool,
}

impl managed::Manager for Manager {
    type Type = Prepared;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> std::result::Result<Prepared, tokio_postgres::Error> {
        Prepared::connect(&self.url).await
    }

    async fn recycle(&self, lent: &mut Prepared, _: &Metrics) -> RecycleResult<tokio_postgres::Error> {
        if self.asks {
            lent.client.simple_query("").await?;
        }
        if lent.client.is_closed() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}

struct Pools {
    asking: Pool<Manager>,
    trusting: Pool<Manager>,
}

/// The connection that all requests of a worker share. It is driven by that worker's thread, so that no question and no
/// answer has to be handed to another.
struct Shared {
    url: String,
    connection: OnceCell<Prepared>,
}

/// Serves the baselines until the process ends; tells its address on stdout.
pub(crate) async fn serve(database: &str, connections: usize) -> Result {
    let pool = |asks| {
        let manager = Manager { url: database.to_owned(), asks };
        Pool::builder(manager).max_size(connections).build().map_err(|error| Error::new(error.to_string()))
    };
    let pools = Data::new(Pools { asking: pool(true)?, trusting: pool(false)? });
    let database = database.to_owned();
    let body = Data::new(Bytes::from(vec![b'x'; BYTES]));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    crate::report::say(&listener.local_addr()?.to_string());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(pools.clone())
            .app_data(body.clone())
            .app_data(Data::new(Shared { url: database.clone(), connection: OnceCell::new() }))
            .route("/bare/{bytes}", web::get().to(bare))
            .route("/checked/{user}", web::get().to(checked))
            .route("/pooled/{user}", web::get().to(pooled))
            .route("/pipelined/{user}", web::get().to(pipelined))
    });
    Ok(server.listen(listener)?.run().await?)
}

async fn bare(bytes: Path<usize>, body: Data<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body.slice(..(*bytes).min(BYTES)))
}

async fn checked(number: Path<u64>, pools: Data<Pools>) -> actix_web::Result<HttpResponse> {
    pools.asking.get().await.map_err(ErrorInternalServerError)?.answer(&user(*number)).await
}

async fn pooled(number: Path<u64>, pools: Data<Pools>) -> actix_web::Result<HttpResponse> {
    pools.trusting.get().await.map_err(ErrorInternalServerError)?.answer(&user(*number)).await
}

async fn pipelined(number: Path<u64>, shared: Data<Shared>) -> actix_web::Result<HttpResponse> {
    let connection = shared.connection.get_or_try_init(|| Prepared::connect(&shared.url)).await;
    connection.map_err(ErrorInternalServerError)?.answer(&user(*number)).await
}

fn user(number: u64) -> String {
    (100_000_000_000_000_000 + number).to_string()
}
