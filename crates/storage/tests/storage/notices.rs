//! Notices as those who send them meet them.

use std::{collections::BTreeSet, time::Duration};

use agis_base::{ServerId, UserId};
use agis_notices::{Kind, NoticeStore, Notices};
use tokio_postgres::Client;

use crate::scene::{OWNER, Scene};

/// So many notices of crashes of one server, without a process.
async fn crashes(sql: &Client, number: i32) {
    sql.batch_execute(&format!(
        "insert into game_servers (id, discord_id, name, game_type) values (7, '{OWNER}', 'sky', 'demo');
         insert into notices (recipient, kind, server_id, server_name, reason, generation)
             select '{OWNER}', 'server_crashed', 7, 'sky', 'signal ' || n, n from generate_series(1, {number}) n"
    ))
    .await
    .expect("notices");
}

async fn set(sql: &Client, what: &str) {
    sql.batch_execute(&format!("update notices set {what}")).await.expect("other values");
}

/// State, attempts, how long it waits in seconds, and what went wrong last.
async fn state(sql: &Client) -> (String, i32, i32, Option<String>) {
    let query =
        "select state, attempts, round(extract(epoch from next_attempt_at - clock_timestamp()))::int, last_error
                 from notices";
    let row = sql.query_one(query, &[]).await.expect("one notice");
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

#[tokio::test]
async fn claimed_notice_is_leased_and_sent_once() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let notices = Notices::new(db.clone());
    crashes(sql, 1).await;
    let claimed = notices.claim(10).await.expect("notices");
    assert_eq!(claimed.len(), 1);
    let notice = &claimed[0];
    assert_eq!((notice.kind, notice.server, notice.attempts), (Kind::ServerCrashed, ServerId(7), 1));
    assert_eq!((&notice.recipient, notice.reason.as_str()), (&UserId::from_stored(OWNER), "signal 1"));
    assert_eq!((notice.operation, &notice.channel, &notice.action), (None, &None, &None));
    assert_eq!(notices.claim(10).await.expect("notices"), []);
    set(sql, "lease_until = now() - interval '1 second'").await;
    let again = notices.claim(10).await.expect("notices");
    assert_eq!((again[0].id, again[0].attempts), (notice.id, 2));
    notices.sent(&again[0]).await.expect("noted");
    notices.failed(&again[0], &"too late to say so".into(), true).await.expect("noted");
    let (state, attempts, _, error) = state(sql).await;
    assert_eq!((state.as_str(), attempts, error), ("sent", 2, None));
    set(sql, "next_attempt_at = now()").await;
    assert_eq!(notices.claim(10).await.expect("notices"), []);
    assert!(!db.sent(&again[0]).await.expect("noted"), "no news, and so not counted");
}

#[tokio::test]
async fn loser_of_a_lease_changes_nothing() {
    let Scene { sql, db: store, .. } = &Scene::start().await;
    crashes(sql, 1).await;
    let claim = async || NoticeStore::claim(&**store, 1, Duration::from_secs(60)).await.expect("a claim").notices.pop();
    let first = claim().await.expect("a notice");
    set(sql, "lease_until = now() - interval '1 second'").await;
    let second = claim().await.expect("the same notice");
    for permanent in [false, true] {
        assert_eq!(store.failed(&first, &"late".into(), permanent).await.expect("an answer"), None);
    }
    assert!(!store.sent(&first).await.expect("an answer"));
    assert_eq!(claim().await, None, "it is still the second one's");
    let (state, attempts, _, error) = state(sql).await;
    assert_eq!((state.as_str(), attempts, error), ("pending", 2, None));
    assert!(store.sent(&second).await.expect("an answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_claims_differ() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let notices = Notices::new(db.clone());
    crashes(sql, 60).await;
    let claims = [(); 4].map(|()| {
        let notices = notices.clone();
        tokio::spawn(async move { notices.claim(10).await.expect("notices") })
    });
    let mut seen = BTreeSet::new();
    for claim in claims {
        for notice in claim.await.expect("a task") {
            assert!(seen.insert(notice.id), "{} was claimed twice", notice.id);
        }
    }
    while let [first, rest @ ..] = &notices.claim(7).await.expect("notices")[..] {
        assert!([first].into_iter().chain(rest).all(|notice| seen.insert(notice.id)));
    }
    assert_eq!(seen.len(), 60);
}

#[tokio::test]
async fn unsent_notice_waits_longer_then_gives_up() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let notices = Notices::new(db.clone());
    crashes(sql, 1).await;
    let claim = async || notices.claim(1).await.expect("notices").pop();
    let mut notice = claim().await.expect("a notice");
    for (attempts, wait) in [(1, 10), (2, 20), (3, 40)] {
        notices.failed(&notice, &"503\0".into(), false).await.expect("noted");
        let (state, tried, waits, error) = state(sql).await;
        assert_eq!((state.as_str(), tried, error.as_deref()), ("pending", attempts, Some("503\u{fffd}")));
        assert!((wait - 5..=wait).contains(&waits), "{waits} s after attempt {attempts}");
        assert_eq!(claim().await, None, "its time has not come");
        set(sql, "next_attempt_at = now()").await;
        notice = claim().await.expect("the notice, again");
    }
    set(sql, "attempts = 12").await;
    notice.attempts = 12;
    notices.failed(&notice, &"x".repeat(5000).into(), false).await.expect("noted");
    let (last, _, _, error) = state(sql).await;
    assert_eq!((last.as_str(), error.map(|error| error.len())), ("given_up", Some(500)));
    assert_eq!(claim().await, None);
}

#[tokio::test]
async fn hopeless_or_old_notice_is_given_up() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let notices = Notices::new(db.clone());
    crashes(sql, 1).await;
    let notice = &notices.claim(1).await.expect("notices")[0];
    notices.failed(notice, &"they take no messages".into(), true).await.expect("noted");
    assert_eq!(state(sql).await.0, "given_up");
    let pending = "state = 'pending', finished_at = null, last_error = null, attempts = 0, next_attempt_at = now()";
    for old in ["created_at = now() - interval '25 hours'", "attempts = 12, lease_until = now() - interval '1 second'"]
    {
        set(sql, pending).await;
        set(sql, old).await;
        assert_eq!(notices.claim(1).await.expect("notices"), [], "{old}");
        let (state, _, _, error) = state(sql).await;
        assert_eq!((state.as_str(), error.as_deref()), ("given_up", Some("nobody could send it in time")), "{old}");
        set(sql, "created_at = now()").await;
    }
    // An ended notice is forgotten after a while.
    let week = Duration::from_secs(7 * 24 * 3600);
    NoticeStore::forget(&**db, week, 10).await.expect("forgotten");
    assert_eq!(state(sql).await.0, "given_up");
    set(sql, "finished_at = now() - interval '8 days'").await;
    NoticeStore::forget(&**db, week, 10).await.expect("forgotten");
    let left: i64 = sql.query_one("select count(*) from notices", &[]).await.expect("a count").get(0);
    assert_eq!(left, 0);
}
