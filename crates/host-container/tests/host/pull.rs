//! Images from a registry.

use std::{process::Command, time::Duration};

use agis_base::OperationId;
use agis_host_container::Pace;
use agis_local_services::registry::{Mood, Registry};
use agis_servers::host::{Host, HostError, Order, Progress, Reached, Slot};
use tokio::task::spawn_blocking;

use crate::{
    ONE, TWO,
    bench::{Bench, PACE, begin, eventually, program, running, script_of, within},
};

/// Keeps the deadlines of a pull short.
const HASTY: Pace = Pace { stall: Duration::from_secs(2), ..PACE };

#[tokio::test]
async fn pull_is_told_and_done_once() {
    let (bench, registry) = (Bench::bare(), Registry::start().expect("a registry"));
    registry.set_mood(Mood::Slow);
    let host = bench.host();
    let game = script_of(&registry.image(), "echo up; sleep 1000");
    let progress = Progress::default();
    let mut heard = progress.heard();
    let order = |server, progress: &Progress| Order {
        server,
        operation: OperationId::new(),
        generation: 1,
        target: running(&game),
        slot: Slot::default(),
        progress: progress.clone(),
    };
    let (first, second) = (order(ONE, &progress), order(TWO, &Progress::default()));
    let listen = async {
        // An engine may begin with either layer, or with both.
        let told = |text: &str| text.starts_with("pulling image: ") && text.contains(" of ");
        within(heard.wait_for(|it| it.progress.as_deref().is_some_and(told))).await.expect("progress");
        registry.set_mood(Mood::Quick);
    };
    let (one, two, ()) = tokio::join!(Box::pin(host.apply(&first)), Box::pin(host.apply(&second)), listen);
    assert!(matches!((&one, &two), (Ok(Reached::Running(_)), Ok(Reached::Running(_)))), "{one:?} {two:?}");
    assert_eq!(heard.borrow().image.as_deref(), Some(registry.digest().as_str()));
    assert_eq!(registry.layers(), 2, "each layer comes once, though two servers need it");
}

#[tokio::test]
async fn pull_that_fails_is_done_by_the_next_start() {
    let (bench, registry) = (Bench::bare(), Registry::start().expect("a registry"));
    let host = bench.host_at_pace(HASTY);
    let game = script_of(&registry.image(), "echo up; sleep 1000");
    registry.set_mood(Mood::Stuck);
    let Err(HostError::Failed(why)) = begin(&host, ONE, 1, &game).await else { panic!("nothing comes") };
    assert!(why.contains("made no progress for 2 s"), "{why}");
    // An answer that breaks off is asked for again, by the engine or by the next start.
    registry.set_mood(Mood::Quick);
    registry.cut(1);
    let mut generation = 1;
    eventually(async || {
        generation += 1;
        matches!(begin(&host, ONE, generation, &game).await, Ok(Reached::Running(_)))
    })
    .await;
    let absent = script_of(&registry.image().replace("pulled", "absent"), "sleep 1000");
    let Err(HostError::Failed(why)) = begin(&host, TWO, 1, &absent).await else { panic!("there is no such image") };
    assert!(why.contains("cannot be pulled"), "{why}");
}

#[tokio::test]
async fn pull_has_a_deadline_in_total() {
    let (bench, registry) = (Bench::bare(), Registry::start().expect("a registry"));
    // Each drop is progress, so the pull does not stall.
    registry.set_mood(Mood::Slow);
    let host = bench.host_at_pace(Pace { pull: Duration::from_secs(3), ..PACE });
    let game = script_of(&registry.image(), "echo up; sleep 1000");
    let Err(HostError::Failed(why)) = begin(&host, ONE, 1, &game).await else { panic!("it takes too long") };
    assert!(why.contains("took longer than 3 s"), "{why}");
    registry.set_mood(Mood::Quick);
    let mut generation = 1;
    eventually(async || {
        generation += 1;
        matches!(begin(&bench.host(), ONE, generation, &game).await, Ok(Reached::Running(_)))
    })
    .await;
}

#[tokio::test]
async fn operator_pulls_the_images_of_games() {
    let (bench, registry) = (Bench::bare(), Registry::start().expect("a registry"));
    let file = bench.data.path().join("games.toml");
    let entry = |key: &str, image: &str| {
        format!(
            "[{key}]\ntitle = '{key}'\nport = 1\ncost_per_hour = 0\nready = {{ when = 'port' }}\n\
             container = {{ image = '{image}', world = '/data' }}\n"
        )
    };
    let games = [entry("there", &registry.image()), entry("absent", "127.0.0.1:1/x:1")].concat();
    std::fs::write(&file, games).expect("a catalogue");
    let mut pull = Command::new(program("agis-api"));
    pull.args(["games", "pull"]).env("AGIS_HOST", "container").env("GAMES_FILE", &file);
    pull.env("AGIS_DATA_DIR", bench.data.path()).env("CONTAINER_HOST", bench.engine.socket());
    let output = within(spawn_blocking(move || pull.output())).await.expect("no panic").expect("agis-api");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("{}\n    {}", registry.image(), registry.digest())), "{text}");
    assert!(text.contains("127.0.0.1:1/x:1\n    FAILED: the image 127.0.0.1:1/x:1 cannot be pulled"), "{text}");
    assert!(!output.status.success(), "an image is missing");
}
