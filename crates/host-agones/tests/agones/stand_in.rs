//! What no real cluster does when it is asked to: these run on the stand-in always.

use agis_servers::console::{Begin, Console, Piece};
use agis_test_support::wait;
use chrono::Utc;
use kube::ResourceExt;

use crate::scene::{Process, SOON, Scene};

impl Scene {
    /// What stands in the console behind this, to its end, and whether something was lost.
    async fn read(&self, process: &Process, mut begin: Begin) -> (Vec<String>, bool) {
        let (mut read, mut is_lost) = (vec![], false);
        loop {
            let piece = process.host.lines(self.server, &begin, 1000).await.expect("lines");
            let Piece { lines, end, more, lost } = piece;
            read.extend(lines.into_iter().map(|line| line.text));
            is_lost |= lost;
            if !more {
                return (read, is_lost);
            }
            begin = Begin::Behind(end);
        }
    }
}

#[tokio::test]
async fn second_with_more_than_a_piece_is_read_to_its_end() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let pod = scene.the_one().await.name_any();
    // So that a piece is cut within a letter too.
    let lines: Vec<String> = (0..2500).map(|number| format!("{number} {}", "ä€".repeat(200))).collect();
    scene.stand_in().print_at_once(&pod, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let (read, is_lost) = scene.read(&process, Begin::Recent { tail: None, since: None }).await;
    assert!(read == lines && !is_lost, "{} of {} lines", read.len(), lines.len());
}

#[tokio::test]
async fn second_that_cannot_be_read_to_its_end_is_passed_and_told() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let pod = scene.the_one().await.name_any();
    let long = "x".repeat(200 << 10);
    scene.stand_in().print_at_once(&pod, &vec![long.as_str(); 90]);
    let printed = Utc::now().timestamp();
    wait::until(SOON, "the next second", async || (Utc::now().timestamp() > printed).then_some(())).await;
    scene.stand_in().print(&pod, "later");
    let (read, is_lost) = scene.read(&process, Begin::Recent { tail: None, since: None }).await;
    assert_eq!((read.last().map(String::as_str), is_lost), (Some("later"), true));
}
