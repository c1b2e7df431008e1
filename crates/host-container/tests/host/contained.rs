use agis_servers::host::Host;

use crate::{
    ONE, TWO,
    bench::{Bench, lines, script, start},
};

#[tokio::test]
async fn game_has_no_rights_beyond_its_world() {
    let bench = Bench::new();
    let host = bench.host();
    let game = script(
        "cat /proc/self/status; id; touch /data/mine && echo wrote the world; touch /mine || echo no root; \
         touch /tmp/mine && echo wrote tmp; ls /run /var/run; cat /proc/self/mountinfo; echo done; sleep 100",
        "ready = { when = { log = 'done' } }\nlimits = { memory = '64MiB', cpu = 0.5, pids = 50 }",
        "world = '/data'",
    );
    start(&host, ONE, 1, &game).await.expect("a start");
    let all = lines(&host, ONE).await.join("\n");
    let own = rustix::process::geteuid();
    let uid = format!("uid={}", if own.is_root() { 1_900_000_000 } else { own.as_raw() });
    for expected in [
        "NoNewPrivs:\t1",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        uid.as_str(),
        "wrote the world",
        "no root",
        "wrote tmp",
    ] {
        let expected = expected.replace('\t', " ");
        let found = all.lines().any(|line| line.replace(['\t', ' '], "").contains(&expected.replace(' ', "")));
        assert!(found, "{expected} is not in\n{all}");
    }
    assert!(!all.contains(".sock"), "{all}");
    let report = host.report().await.containment;
    if !own.is_root() {
        // A rootless engine, whose games have one account and perhaps no limits.
        assert!(report.missing.iter().any(|it| it.what == "account"), "{report:?}");
        return;
    }
    assert!(
        report.contained.iter().any(|it| it.what == "memory") && report.contained.iter().any(|it| it.what == "account")
    );
    assert!(report.missing.iter().all(|it| it.what == "console"), "{report:?}");
}

#[tokio::test]
async fn servers_do_not_reach_each_other() {
    let bench = Bench::new();
    let host = bench.host();
    let listens = script("echo up; nc -l -p 7777 -e echo reached", "ready = { when = { log = 'up' } }", "");
    start(&host, ONE, 1, &listens).await.expect("a start");
    let docker = bench.docker().negotiate_version().await.expect("an engine");
    let name = bench.containers().await.pop().expect("a container");
    let found = docker.inspect_container(name.trim_start_matches('/'), None).await.expect("the container");
    let networks = found.network_settings.and_then(|it| it.networks).expect("networks");
    assert_eq!(networks.len(), 1);
    let address = networks.into_values().find_map(|it| it.ip_address).expect("an address");
    let asks = script(
        &format!("nc -w 2 {address} 7777 </dev/null || echo refused; echo up; sleep 100"),
        "ready = { when = { log = 'up' } }",
        "",
    );
    start(&host, TWO, 1, &asks).await.expect("a start");
    let all = lines(&host, TWO).await;
    if bench.engine.make() == agis_local_services::engine::Make::Docker {
        assert!(!all.contains(&"reached".to_owned()), "{all:?}");
    }
}
