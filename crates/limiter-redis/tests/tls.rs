//! Redis over TLS: what is trusted, what is shown, and which check failed.

use std::{
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use agis_limiter_redis::{Files, RedisLimiter, RedisUrl};
use agis_local_services::{
    certificates::{Authority, Issued, ServerTls},
    redis::Redis,
};
use agis_ratelimit::{Bucket, Limiter, MemoryLimiter, Quota};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

/// A Redis that shows this; with a CA it asks its clients for a certificate.
fn redis(shown: Issued, clients: Option<String>) -> Redis {
    Redis::start_tls(&ServerTls { shown, clients }).expect("a Redis that speaks TLS")
}

fn file(dir: &TempDir, name: &str, content: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    path.display().to_string()
}

/// Whether Redis decides, over TLS to this host; else why it does not.
async fn decides(redis: &Redis, host: &str, files: Files<'_>) -> Result<(), String> {
    let url = format!("rediss://{host}:{}", redis.tls_port().expect("a port"));
    let told = Arc::new(Mutex::new(Ok(())));
    let telling = told.clone();
    let tell = move |how: Result<(), &agis_limiter_redis::Error>| {
        *telling.lock().expect("a word") = how.map_err(ToString::to_string);
    };
    let memory = Arc::new(MemoryLimiter::new(1000));
    let url = RedisUrl::new(&url, files).expect("a URL");
    let limiter = RedisLimiter::new(url, memory.clone(), tell).with_deadline(SOON);
    limiter.probe().await;
    assert!(limiter.take(Bucket { kind: "key", id: 1 }, Quota::per_hour(1_000)).await.allowed);
    let told = told.lock().expect("a word").clone();
    assert_eq!(memory.is_empty(), told.is_ok(), "who decided: {told:?}");
    told
}

#[tokio::test]
async fn failed_certificate_check_is_told() {
    let (ca, dir) = (Authority::new("ours").expect("a CA"), tempfile::tempdir().expect("a directory"));
    let ours = file(&dir, "ca", &ca.certificate());
    let strange = file(&dir, "strange", &Authority::new("strange").expect("a CA").certificate());
    let with = |ca| Files { ca, ..Files::default() };
    let good = redis(ca.server(&["localhost"]).expect("a certificate"), None);
    assert_eq!(decides(&good, "localhost", with(Some(&ours))).await, Ok(()));
    let expired = redis(ca.expired_server(&["localhost"]).expect("a certificate"), None);
    for (redis, host, ca, why) in [
        (&good, "127.0.0.1", Some(&*ours), "the server's certificate is for localhost, not for 127.0.0.1"),
        (&good, "localhost", Some(&*strange), "is signed by nobody whom REDIS_CA_FILE trusts"),
        (&good, "localhost", None, "is signed by nobody whom REDIS_CA_FILE trusts"),
        (&expired, "localhost", Some(&*ours), "the server's certificate has expired"),
    ] {
        let told = decides(redis, host, with(ca)).await.expect_err("not to be trusted");
        assert!(told.contains(why), "{host}: {told}");
    }
}

#[tokio::test]
async fn client_certificate_is_shown_where_wanted() {
    let (ca, dir) = (Authority::new("ours").expect("a CA"), tempfile::tempdir().expect("a directory"));
    let redis = redis(ca.server(&["localhost"]).expect("a certificate"), Some(ca.certificate()));
    let ours = file(&dir, "ca", &ca.certificate());
    let files = |name: &str, issued: Issued| {
        let names = [format!("{name}.crt"), format!("{name}.key")];
        [file(&dir, &names[0], &issued.certificate), file(&dir, &names[1], &issued.key)]
    };
    let known = files("known", ca.client("agis").expect("a certificate"));
    let strange = Authority::new("strange").expect("a CA");
    let strange = files("strange", strange.client("agis").expect("a certificate"));
    let none = decides(&redis, "localhost", Files { ca: Some(&ours), ..Files::default() }).await;
    let why = "the server wants a client certificate: set REDIS_CERT_FILE and REDIS_KEY_FILE";
    assert_eq!(none, Err(why.to_owned()));
    for ([certificate, key], expected) in
        [(&known, Ok(())), (&strange, Err("the server does not trust those who signed REDIS_CERT_FILE".to_owned()))]
    {
        let files = Files { ca: Some(&ours), certificate: Some(certificate), key: Some(key) };
        assert_eq!(decides(&redis, "localhost", files).await, expected);
    }
}
