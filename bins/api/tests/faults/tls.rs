//! TLS to Postgres: what is trusted, what is shown, and which check failed.

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use agis_local_services::{
    certificates::{Authority, Issued, ServerTls},
    postgres::{Cluster, Options},
};
use agis_test_support::wait;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Api, SOON, Stack};

/// Leads to this machine, and does not look like it.
const ELSEWHERE: &str = "0.0.0.0";

/// A server, and the files of those who speak with it.
struct Scene {
    cluster: Cluster,
    ca: Authority,
    files: TempDir,
}

impl Scene {
    /// A server that shows a certificate for `localhost` and `db.example`.
    fn start(options: Options) -> Self {
        let ca = Authority::new("agis test").expect("a CA");
        let shown = ca.server(&["localhost", "db.example"]).expect("a certificate");
        let clients = Some(ca.certificate());
        let cluster = Cluster::start(options.tls(ServerTls { shown, clients })).expect("a cluster");
        let scene = Self { cluster, ca, files: tempfile::tempdir().expect("a directory") };
        scene.file("ca", &scene.ca.certificate());
        scene
    }

    /// Writes a file that nobody else may read.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A URL; `{name}` in what follows the `?` is the path of a file.
    fn url(&self, host: &str, said: &str) -> String {
        let (port, password) = (self.cluster.port(), self.cluster.password());
        let said = said.replace('{', &format!("{}/", self.files.path().display())).replace('}', "");
        format!("postgres://agis:{password}@{host}:{port}/postgres?{said}")
    }

    fn client(&self, name: &str, issued: &Issued) {
        self.file(&format!("{name}.crt"), &issued.certificate);
        self.file(&format!("{name}.key"), &issued.key);
    }

    fn show(&mut self, shown: Issued) {
        let clients = Some(self.ca.certificate());
        self.cluster.show(ServerTls { shown, clients }).expect("a restart");
    }
}

/// Runs a command that needs the database, and returns its log if it fails.
fn asked(stack: &Stack, url: &str) -> Result<(), String> {
    let output = stack.output(&[("DATABASE_URL", url)], &["migrate", "status"]);
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(!told.contains(url), "{told}");
    if output.status.success() { Ok(()) } else { Err(told) }
}

/// Asks over each URL, and compares: an empty word is for a connection, another one for why there is none.
fn assert_asked(stack: &Stack, scene: &Scene, cases: &[(&str, &str, &str)]) {
    for (host, said, why) in cases {
        match asked(stack, &scene.url(host, said)) {
            Ok(()) => assert_eq!(*why, "", "{host} {said} connects"),
            Err(told) => assert!(!why.is_empty() && told.contains(why), "{host} {said}: {told}"),
        }
    }
}

/// Waits until a field that readiness shows of the database fits, and returns the report.
async fn told_of_the_database(api: &Api, field: &str, is: impl Fn(&str) -> bool) -> Value {
    wait::until(SOON, "readiness to tell of the database", async || {
        let report = api.ready().await.body;
        let database = report["components"]["database"].clone();
        database[field].as_str().is_some_and(&is).then_some(report)
    })
    .await
}

#[tokio::test]
async fn every_connection_speaks_tls() {
    let scene = Scene::start(Options::throwaway());
    let url = scene.url("localhost", "sslmode=verify-full&sslrootcert={ca}");
    // Migrates, and makes a key, over TLS already.
    let stack = Stack::on(url, None).await;
    let api = stack.api(&[]).await;
    told_of_the_database(&api, "tls", |tls| tls == "on").await;
    let (sql, line) =
        tokio_postgres::connect(&scene.cluster.url("postgres"), tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(line);
    let query = "select count(*), count(*) filter (where ssl)
                 from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'agis'";
    wait::until(SOON, "connections of the pool, the readers and the listener", async || {
        api.get("/api/v1/users/me").await.expect(200);
        let row = sql.query_one(query, &[]).await.expect("a row");
        let (all, secret): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(all, secret, "a connection does not speak TLS");
        (all >= 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn failed_certificate_check_is_named() {
    let mut scene = Scene::start(Options::throwaway());
    let stack = Stack::on(scene.cluster.url("postgres"), None).await;
    let stranger = Authority::new("stranger").expect("a CA");
    scene.file("stranger", &stranger.certificate());
    scene.file("namesake", &Authority::new("agis test").expect("a CA").certificate());
    let unknown = "the server's certificate is signed by nobody whom sslrootcert trusts";
    assert_asked(
        &stack,
        &scene,
        &[
            ("localhost", "sslmode=verify-full&sslrootcert={ca}", ""),
            ("db.example", "sslmode=verify-full&sslrootcert={ca}&hostaddr=127.0.0.1", ""),
            ("127.0.0.1", "sslmode=verify-ca&sslrootcert={ca}", ""),
            ("127.0.0.1", "sslmode=require", ""),
            (ELSEWHERE, "", ""),
            (
                "127.0.0.1",
                "sslmode=verify-full&sslrootcert={ca}",
                "the server's certificate is for localhost, db.example, not for 127.0.0.1",
            ),
            ("other.example", "sslmode=verify-full&sslrootcert={ca}&hostaddr=127.0.0.1", "not for other.example"),
            ("localhost", "sslmode=verify-full&sslrootcert={stranger}", unknown),
            ("localhost", "sslmode=verify-ca&sslrootcert={stranger}", unknown),
            ("localhost", "sslmode=require&sslrootcert={stranger}", unknown),
            ("localhost", "sslrootcert=system", unknown),
            ("localhost", "sslmode=verify-ca&sslrootcert={namesake}", "is not signed by sslrootcert"),
            // As libpq has it, for what that is worth.
            ("localhost", "sslmode=prefer&sslrootcert={stranger}", ""),
        ],
    );
    let url = scene.url(ELSEWHERE, "sslrootcert={stranger}");
    let api = stack.api(&[("DATABASE_URL", &url)]).await;
    told_of_the_database(&api, "tls", |tls| tls == format!("off: {unknown}")).await;

    scene.show(scene.ca.expired_server(&["localhost"]).expect("a certificate"));
    let expired = "the server's certificate has expired";
    assert_asked(
        &stack,
        &scene,
        &[
            ("localhost", "sslmode=verify-full&sslrootcert={ca}", expired),
            ("localhost", "sslmode=verify-ca&sslrootcert={ca}", expired),
            ("localhost", "sslmode=require", ""),
        ],
    );
    let url = scene.url("localhost", "sslmode=verify-ca&sslrootcert={ca}");
    let api = stack.api(&[("DATABASE_URL", &url)]).await;
    let report = told_of_the_database(&api, "why", |why| why.contains(expired)).await;
    assert_eq!(report["status"], "starting", "{report}");
    api.logged("why", |line| line["why"].as_str().is_some_and(|why| why.contains(expired))).await;
}

#[tokio::test]
async fn server_without_tls_is_refused_where_asked() {
    let cluster = Cluster::start(Options::throwaway()).expect("a cluster");
    cluster.create_database("agis").expect("a database");
    let here = cluster.url("agis");
    let stack = Stack::on(here.clone(), None).await;
    for mode in ["require", "verify-full&sslrootcert=system"] {
        let told = asked(&stack, &format!("{here}?sslmode={mode}")).expect_err("no TLS");
        let word = mode.split('&').next().expect("a word");
        let expected = format!("the server does not speak TLS, and sslmode={word} asks for it");
        assert!(told.contains(&expected), "{told}");
    }
    let local = stack.api(&[]).await;
    told_of_the_database(&local, "tls", |tls| tls == "none: the server is on this machine").await;

    let elsewhere = here.replace("127.0.0.1", ELSEWHERE);
    for (url, why) in [
        (elsewhere.clone(), "off: the server does not speak TLS"),
        (format!("{elsewhere}?sslmode=disable"), "off: sslmode=disable"),
    ] {
        let api = stack.api(&[("DATABASE_URL", &url)]).await;
        let report = told_of_the_database(&api, "tls", |tls| tls == why).await;
        assert_eq!(report["components"]["database"]["status"], "ok", "it works, and an operator may want it so");
        api.get("/api/v1/users/me").await.expect(200);
        let warned = |line: &Value| line["message"].as_str().is_some_and(|told| told.contains("has no TLS"));
        api.logged("the warning", warned).await;
        assert_eq!(api.log().iter().filter(|line| warned(line)).count(), 1, "told once, not for each connection");
    }
}

#[tokio::test]
async fn client_certificate_is_shown_where_wanted() {
    let access = "hostssl all all 127.0.0.1/32 password clientcert=verify-ca\n";
    let scene = Scene::start(Options::throwaway().access(access));
    scene.client("ours", &scene.ca.client("agis").expect("a certificate"));
    let stranger = Authority::new("stranger").expect("a CA");
    scene.client("strange", &stranger.client("agis").expect("a certificate"));
    let ours = "sslcert={ours.crt}&sslkey={ours.key}";
    let stack =
        Stack::on(scene.url("localhost", &format!("sslmode=verify-full&sslrootcert={{ca}}&{ours}")), None).await;
    assert_asked(
        &stack,
        &scene,
        &[
            ("localhost", &format!("sslmode=require&{ours}"), ""),
            ("localhost", "sslmode=require", "requires a valid client certificate: set sslcert and sslkey"),
            ("localhost", "sslmode=prefer", "with TLS: connection requires a valid client certificate"),
            ("localhost", "", "no encryption"),
            ("localhost", "sslmode=require&sslcert={strange.crt}&sslkey={strange.key}", "those who signed sslcert"),
        ],
    );
}

#[tokio::test]
async fn sockets_are_written_as_libpq_writes_them() {
    let cluster = Cluster::start(Options::throwaway().socket()).expect("a cluster");
    cluster.create_database("agis").expect("a database");
    let stack = Stack::on(cluster.url("agis"), None).await;
    let (password, port) = (cluster.password(), cluster.port());
    let folder = cluster.socket_dir().display().to_string();
    let encoded = folder.replace('/', "%2F");
    for url in [
        format!("postgres://agis:{password}@{encoded}:{port}/agis"),
        format!("postgresql:///agis?host={folder}&port={port}&user=agis&password={password}"),
        format!("postgres://agis:{password}@/agis?host={encoded}&port={port}"),
        // libpq speaks no TLS over sockets, whatever sslmode says.
        format!("postgres://agis:{password}@:{port}/agis?host={folder}&sslmode=require"),
    ] {
        let there = asked(&stack, &url);
        assert_eq!(there, Ok(()), "{}", url.replace(password, "…"));
    }
    let url = format!("postgres://agis:{password}@%2Fnowhere/agis");
    let told = asked(&stack, &url).expect_err("no socket");
    assert!(told.contains("No such file"), "{told}");
}

#[tokio::test]
async fn impossible_tls_settings_are_told_together() {
    let cluster = Cluster::start(Options::throwaway()).expect("a cluster");
    cluster.create_database("agis").expect("a database");
    let stack = Stack::on(cluster.url("agis"), None).await;
    let files = tempfile::tempdir().expect("a directory");
    let path = |name: &str| files.path().join(name).display().to_string();
    std::fs::write(path("text"), "not a certificate").expect("a file");
    let ca = path("text");
    let url = format!("postgres://agis:hunter2@db.example/agis?sslmode=verify-ca&sslrootcert={ca}&sslcert=/nowhere");
    let settings = [
        ("DATABASE_URL", &*url),
        ("REDIS_URL", "rediss://:hunter2@redis.example"),
        ("REDIS_CA_FILE", &*ca),
        ("REDIS_KEY_FILE", "/nowhere"),
        ("API_PORT", "high"),
    ];
    let output = stack.output(&settings, &["serve"]);
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.code() == Some(1) && !told.contains("hunter2"), "{told}");
    let pem = "has no certificate in PEM form";
    for line in [
        format!("DATABASE_URL=…: sslrootcert={ca}: {pem}"),
        "DATABASE_URL=…: sslcert=/nowhere: needs sslkey too".to_owned(),
        format!("REDIS_CA_FILE={ca}: {pem}"),
        "REDIS_KEY_FILE=/nowhere: needs REDIS_CERT_FILE too".to_owned(),
        "API_PORT=high".to_owned(),
    ] {
        assert!(told.contains(&line), "{line} is not in:\n{told}");
    }
}
