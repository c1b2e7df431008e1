//! Tests of several programs on one data directory, one after the other or at once.

use std::time::Duration;

use agis_servers::host::{Host, Observed, Reached};

use crate::{
    ONE,
    bench::{self, Bench, demo, ended, within},
};

#[tokio::test]
async fn many_workers_start_one_process() {
    let bench = Bench::new();
    let game = demo("");
    let [a, b, c] = [bench.host(), bench.host(), bench.host()];
    for generation in [1, 2] {
        let start = |host| bench.start(host, ONE, generation, &game);
        let (first, second, third) = tokio::join!(start(&a), start(&b), start(&c));
        assert!(first.is_ok() && first == second && second == third, "{first:?} {second:?} {third:?}");
    }
    let began = bench.console(ONE).matches("ready for players").count();
    assert_eq!(began, 2, "one for each generation");
}

#[tokio::test]
async fn start_goes_on_when_nobody_waits() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("args = --never-ready\nready = { when = { delay = 2 } }");
    let early = tokio::time::timeout(Duration::from_millis(700), bench.start(&host, ONE, 1, &game)).await;
    assert!(early.is_err());
    drop(host);
    let next = bench.host();
    bench.start(&next, ONE, 1, &game).await.expect("the same start, taken up by the next program");
    assert_eq!(bench.stop(&next, ONE, 2).await, Ok(Reached::Stopped));
}

#[tokio::test]
async fn the_next_program_adopts_what_runs() {
    let bench = Bench::new();
    let first = bench.host();
    let endpoint = bench.start(&first, ONE, 1, &demo("")).await.expect("it starts");
    drop(first);
    let next = bench.host();
    assert_eq!(within(next.observe(ONE)).await, Ok(Observed::Running { generation: 1, endpoint: endpoint.clone() }));
    assert_eq!(bench.start(&next, ONE, 1, &demo("")).await, Ok(endpoint), "confirmed, not begun");
    bench::kill(bench.game(ONE));
    within(next.changed()).await;
    assert_eq!(within(next.observe(ONE)).await, Ok(ended(1, "killed by signal 9")));
}

#[test]
fn a_data_directory_stays_its_first_hosts() {
    let bench = Bench::new();
    drop(bench.host());
    drop(bench.host());
    let error = bench.host_called("elsewhere").expect_err("refused").to_string();
    assert!(error.contains("belongs to the host 'here'") && error.contains("AGIS_HOST_NAME=here"), "{error}");
}
