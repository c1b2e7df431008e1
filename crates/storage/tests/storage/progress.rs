//! Facts that a host tells about an operation while it runs.

use std::time::Duration;

use agis_base::OperationId;
use agis_servers::{
    Operation,
    host::Told,
    store::{Billing, Facts, LeaseStore, OperationStore, Outcome},
};
use agis_storage::Db;

use crate::scene::{Scene, queue};

const LEASE: Duration = Duration::from_secs(60);

fn told(progress: &str, image: Option<&str>) -> Told {
    Told { progress: Some(progress.into()), image: image.map(Into::into) }
}

async fn operation(db: &Db, id: OperationId) -> Operation {
    db.operations(&[id]).await.expect("operations").pop().expect("one")
}

#[tokio::test]
async fn lost_attempt_tells_nothing() {
    let Scene { sql, db, .. } = &Scene::start().await;
    queue(sql, "there", 1..=1, 1).await;
    let [due] = &db.due("there", &[agis_servers::Action::Start], 9).await.expect("what waits")[..] else {
        panic!("one")
    };
    let id = due.operation;
    let first = db.claim(&[id], LEASE).await.expect("a claim").pop().expect("one");
    db.tell(first.held(), &told("pulling image: 1 of 2 MB", Some("x@sha256:1"))).await.expect("told");
    let shown = operation(db, id).await;
    assert_eq!(shown.progress.as_deref(), Some("pulling image: 1 of 2 MB"));

    sql.batch_execute("update operations set lease_until = now()").await.expect("an end of the lease");
    let second = db.claim(&[id], LEASE).await.expect("a claim").pop().expect("one");
    assert_eq!((second.operation.progress.clone(), second.operation.image.as_deref()), (None, Some("x@sha256:1")));
    db.tell(first.held(), &told("pulling image: 2 of 2 MB", Some("x@sha256:2"))).await.expect("nothing");
    let shown = operation(db, id).await;
    assert_eq!((shown.progress, shown.image.as_deref()), (None, Some("x@sha256:1")));

    db.tell(second.held(), &told("starting", None)).await.expect("told");
    let facts = Facts { killed: Some(false), image: Some("x@sha256:3".into()), ..Facts::default() };
    db.finish(&second, &Outcome::Failed("it broke".into()), &facts, Billing::Off).await.expect("an end").expect("ours");
    db.tell(second.held(), &told("late", Some("x@sha256:4"))).await.expect("nothing");
    let shown = operation(db, id).await;
    assert_eq!((shown.progress, shown.image.as_deref()), (None, Some("x@sha256:3")));
}
