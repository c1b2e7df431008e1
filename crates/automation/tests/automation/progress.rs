//! People see how a start goes on, while it does.

use std::{sync::Arc, time::Duration};

use agis_automation::Workers;
use agis_base::ServerId;
use agis_servers::{
    Operation, State,
    game::{Catalogue, RunsOn},
    host::{Abilities, Endpoint, Host, HostError, HostReport, Observed, Order, Reached},
    store::{Billing, OperationFilter, OperationStore, Page},
};
use agis_storage::Db;
use agis_test_support::wait;
use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::scene::{Scene, number, queue};

const SOON: Duration = Duration::from_secs(60);

/// A host whose start tells how it goes on, until it is told to end.
#[derive(Default)]
struct Talker {
    end: Notify,
}

#[async_trait]
impl Host for Talker {
    fn name(&self) -> &str {
        "there"
    }

    fn kind(&self) -> RunsOn {
        RunsOn::Container
    }

    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    async fn report(&self) -> HostReport {
        HostReport::default()
    }

    async fn apply(&self, order: &Order) -> Result<Reached, HostError> {
        for done in 0..=480 {
            order.progress.say(format!("pulling image: {done} of 480 MB"));
        }
        self.end.notified().await;
        order.progress.image("docker.io/x/y@sha256:7");
        Ok(Reached::Running(Endpoint { address: "here".to_owned(), port: 7, ports: vec![] }))
    }

    async fn observe(&self, _: ServerId) -> Result<Observed, HostError> {
        Ok(Observed::Absent)
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}

async fn operation(store: &Db, server: ServerId) -> Option<Operation> {
    let page = Page { after: None, limit: 1 };
    store.history(server, OperationFilter::default(), page).await.expect("a history").pop()
}

#[tokio::test]
async fn progress_is_seen_and_the_image_kept() {
    let Scene { sql, db: store, .. } = &Scene::start().await;
    queue(sql, "there", 1..=1, 1).await;
    let server = number(sql, "select id::int8 from game_servers").await;
    let server = ServerId(i32::try_from(server).expect("an id"));
    let catalogue = Catalogue::parse(
        r#"
        [demo]
        title = "Demo"
        container = { image = "docker.io/x/y:1", world = "/data" }
        port = 20000
        cost_per_hour = 0
        ready = { when = { delay = 0 } }
        "#,
    );
    let (host, stop) = (Arc::new(Talker::default()), CancellationToken::new());
    let (_bell, heard) = watch::channel(());
    let workers = Workers {
        store: store.clone(),
        hosts: vec![host.clone()],
        catalogue: Arc::new(catalogue.expect("a catalogue")),
        concurrency: 1,
        lease: SOON,
        billing: Billing::Off,
        bell: heard,
    };
    let crew = tokio::spawn(workers.run(stop.clone(), |_| {}));
    let seen = wait::until(SOON, "the progress", async || operation(store, server).await?.progress).await;
    assert_eq!(seen, "pulling image: 480 of 480 MB");

    // Said right before the end, so only the end can have it.
    host.end.notify_one();
    let ended = wait::until(SOON, "the end", async || {
        operation(store, server).await.filter(|operation| operation.state == State::Succeeded)
    });
    let ended = ended.await;
    assert_eq!((ended.progress, ended.image.as_deref()), (None, Some("docker.io/x/y@sha256:7")));
    stop.cancel();
    crew.await.expect("an end");
}
