//! Tests of games that try to leave their run, or to reach into what is not theirs.

use std::{
    fs::{self, File},
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use agis_servers::{
    game::Game,
    host::{Host, HostError, Observed, Reached},
};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::time::sleep;

use crate::{
    ONE, TWO,
    bench::{self, Bench, eventually, within},
};

const READY: &str =
    "ready = { when = { log = 'ready' }, within_s = 30 }\nstop = { how = { signal = 'SIGTERM' }, grace_s = 1 }";

/// Survivors: each writes into the world for as long as it lives, without a descriptor of its run.
const BEAT: &str = "while :; do echo x >> beat; sleep 0.02; done </dev/null >/dev/null 2>&1";

/// Games that leave behind what their supervisor does not know.
fn escapes() -> [(&'static str, String); 4] {
    [
        ("a launcher", format!("({BEAT}) & echo ready; wait")),
        ("a session of its own", format!("setsid sh -c 'setsid sh -c \"{BEAT}\" & exit' & echo ready; sleep 1000")),
        ("a chain of forks", "hop() { echo x >> beat; hop & exit; }; hop & echo ready; sleep 1000".to_owned()),
        ("deaf to signals", format!("trap '' TERM INT HUP; ({BEAT}) & echo ready; while :; do sleep 1; done")),
    ]
}

fn game(script: &str) -> Arc<Game> {
    bench::game(&format!("command = ['sh', '-c', '''{script}''']\n{READY}"))
}

/// Root gives each server an account; others test what their own account can contain.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Waits until the file has not grown for a while, and fails if it always does.
async fn is_still(path: &std::path::Path) {
    let size = || fs::metadata(path).map_or(0, |file| file.len());
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let before = size();
        sleep(Duration::from_millis(200)).await;
        if size() == before {
            return;
        }
        assert!(Instant::now() < until, "{} grows on", path.display());
    }
}

async fn beats(path: &std::path::Path) {
    eventually(async || path.exists()).await;
}

#[tokio::test]
async fn a_stop_ends_whatever_a_start_began() {
    for (name, script) in escapes() {
        let bench = Bench::new();
        let host = bench.host();
        bench.start(&host, ONE, 1, &game(&script)).await.expect(name);
        let beat = bench.server(ONE).join("world/beat");
        beats(&beat).await;
        assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped), "{name}");
        let size = fs::metadata(&beat).expect(name).len();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(fs::metadata(&beat).expect(name).len(), size, "{name}: a process lives on");
        assert_eq!(bench.delete(&host, ONE, 3).await, Ok(Reached::Deleted), "{name}");
    }
}

#[tokio::test]
async fn killed_supervisor_leaves_no_survivor() {
    for (name, script) in escapes() {
        let bench = Bench::new();
        let host = bench.host();
        let game = game(&script);
        bench.start(&host, ONE, 1, &game).await.expect(name);
        let beat = bench.server(ONE).join("world/beat");
        beats(&beat).await;
        bench::kill(bench.shim(ONE));
        eventually(async || matches!(within(host.observe(ONE)).await, Ok(Observed::Ended { .. }))).await;
        let size = fs::metadata(&beat).expect(name).len();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(fs::metadata(&beat).expect(name).len(), size, "{name}: it was told as ended, and lives on");
        bench.start(&host, ONE, 2, &game).await.expect(name);
        assert_eq!(bench.stop(&host, ONE, 3).await, Ok(Reached::Stopped), "{name}");
    }
}

#[tokio::test]
async fn supervisor_killed_at_any_step_leaves_nothing() {
    let bench = Bench::new();
    let host = bench.host();
    let beat = bench.server(ONE).join("world/beat");
    let game = game(&format!("({BEAT}) & echo ready; wait"));
    for round in 0..12_u32 {
        let generation = i64::from(2 * round + 1);
        let kill = async {
            // The shim is known once its status names it, and is at another step each time.
            let named = format!("\"generation\":{generation},");
            let status = bench.server(ONE).join("status.json");
            eventually(async || fs::read_to_string(&status).is_ok_and(|text| text.contains(&named))).await;
            sleep(Duration::from_millis((2 * round).into())).await;
            bench::kill(bench.shim(ONE));
        };
        let (_, ()) = tokio::join!(bench.begin(&host, ONE, generation, &game), kill);
        eventually(async || matches!(within(host.observe(ONE)).await, Ok(Observed::Ended { .. }))).await;
        is_still(&beat).await;
        let size = || fs::metadata(&beat).map_or(0, |file| file.len());
        let before = size();
        sleep(Duration::from_millis(60)).await;
        assert_eq!(size(), before, "round {round}");
        assert_eq!(bench.stop(&host, ONE, generation + 1).await, Ok(Reached::Stopped));
    }
}

/// Runs a script to its end, and returns what it wrote.
async fn told(bench: &Bench, server: agis_base::ServerId, script: &str) -> String {
    let host = bench.host();
    let game = game(&format!("{script}; echo ready; sleep 1000"));
    bench.start(&host, server, 1, &game).await.expect("it starts");
    bench.console(server)
}

#[tokio::test]
async fn a_game_has_three_descriptors_and_no_rights() {
    // As a shell does with `exec 9</etc/passwd`.
    let secret = File::open("/etc/passwd").expect("the file");
    fcntl_setfd(&secret, FdFlags::empty()).expect("our descriptor");
    let bench = Bench::new();
    let lines = told(&bench, ONE, "for fd in /proc/self/fd/*; do echo fd=$(readlink $fd); done; grep -E 'Cap(Eff|Prm|Amb)|NoNew' /proc/self/status | tr '\\t' ' '").await;
    assert!(!lines.contains("passwd"), "{lines}");
    for held in lines.lines().filter(|line| line.contains("fd=")) {
        assert!(held.contains("fd=pipe:") || held.ends_with("fd="), "{held}");
    }
    for none in ["CapEff: 0000000000000000", "CapPrm: 0000000000000000", "CapAmb: 0000000000000000", "NoNewPrivs: 1"] {
        assert!(lines.contains(none), "{none}: {lines}");
    }
}

#[tokio::test]
async fn a_game_can_open_its_console_again() {
    let bench = Bench::new();
    let lines = told(&bench, ONE, "echo to-err >/dev/stderr; echo to-out >/dev/stdout").await;
    assert!(lines.contains(" to-err\n") && lines.contains(" to-out\n"), "{lines}");
}

#[tokio::test]
async fn a_game_reaches_no_neighbour() {
    let bench = Bench::new();
    told(&bench, ONE, "umask 0; echo secret > secret; echo left > /tmp/left; export PASSWORD=hidden").await;
    let (other, shim) = (bench.server(ONE), bench.shim(ONE));
    let game = bench.game(ONE);
    let world = other.join("world/secret");
    assert!(world.exists());
    let script = format!(
        "cat {world} && echo READ; echo x > {world} && echo WROTE; ls {servers} && echo LISTED; ls /tmp/left && echo TMP; \
         kill -9 {game} && echo KILLED; cat /proc/{game}/environ && echo ENVIRON; cat /proc/{shim}/stat && echo SEEN; \
         echo uid=$(id -u) gid=$(id -g) groups=$(id -G); cat {trash} {ports} && echo TRASH; \
         echo processes: $(ls /proc | grep -c '^[0-9]')",
        world = world.display(),
        servers = other.join("world").display(),
        trash = bench.data().join("trash").display(),
        ports = bench.data().join("ports").display(),
    );
    let lines = told(&bench, TWO, &script).await;
    for done in ["READ", "WROTE", "LISTED", "TMP", "KILLED", "ENVIRON", "SEEN", "TRASH"] {
        assert!(!lines.contains(&format!(" {done}\n")), "{done}: {lines}");
    }
    assert!(!is_root() || lines.contains("uid=1900000001 gid=1900000001 groups=1900000001\n"), "{lines}");
    assert_eq!(fs::read_to_string(world).expect("the secret"), "secret\n");
    assert!(within(bench.host().observe(ONE)).await.is_ok_and(|seen| matches!(seen, Observed::Running { .. })));
    if !is_root() {
        return;
    }
    let worlds = [ONE, TWO].map(|server| fs::metadata(bench.server(server).join("world")).expect("a world"));
    assert_eq!(
        worlds.each_ref().map(|world| (world.uid(), world.mode() & 0o777)),
        [(1_900_000_000, 0o700), (1_900_000_001, 0o700)]
    );
}

#[tokio::test]
async fn a_world_of_another_account_is_handed_over() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let host = bench.host();
    let game = game("test -w deep/file && cat deep/file; cat foreign; echo ready; sleep 1000");
    bench
        .start(&host, ONE, 1, &bench::script("mkdir deep; echo kept > deep/file; echo ready; sleep 1000", READY))
        .await
        .expect("it starts");
    bench.stop(&host, ONE, 2).await.expect("it stops");
    let world = bench.server(ONE).join("world");
    fs::write(world.join("foreign"), "of root").expect("a file");
    for path in ["deep/file", "deep", ""] {
        std::os::unix::fs::lchown(world.join(path), Some(65534), Some(65534)).expect("we are root");
    }
    bench.start(&host, ONE, 3, &game).await.expect("it starts");
    assert!(bench.console(ONE).contains(" kept\n"));
    assert_eq!(fs::metadata(world.join("foreign")).expect("a file").uid(), 0, "others keep what is theirs");
}

/// Runs a test in a process of its own, which is changed by `change`. Returns whether this is that process.
fn alone(test: &str, change: impl FnOnce(&mut Command) -> &mut Command) -> bool {
    if std::env::var_os("AGIS_ALONE").is_some() || !is_root() {
        return true;
    }
    let own = std::env::current_exe().expect("this program");
    // Changes nothing by itself.
    let mut command = Command::new("setpriv");
    let command = change(&mut command).arg(own).args(["--exact", test, "--nocapture"]).env("AGIS_ALONE", "1");
    let run = command.output().expect("setpriv of util-linux");
    let told = [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
    false
}

#[tokio::test]
async fn lack_of_descriptors_is_no_death() {
    if !alone("contained::lack_of_descriptors_is_no_death", |test| test) {
        return;
    }
    let bench = Bench::new();
    let host = bench.host();
    bench.start(&host, ONE, 1, &bench::demo("")).await.expect("it starts");
    let (shim, before) = (bench.shim(ONE), getrlimit(Resource::Nofile));
    let open = fs::read_dir("/proc/self/fd").expect("our descriptors").count() as u64;
    for left in 0..4 {
        let few = Rlimit { current: Some(open - 1 + left), maximum: before.maximum };
        setrlimit(Resource::Nofile, few).expect("a lower limit");
        let seen = within(host.observe(ONE)).await;
        setrlimit(Resource::Nofile, before).expect("the limit from before");
        assert!(!matches!(seen, Ok(Observed::Ended { .. } | Observed::Absent)), "{left} left: {seen:?}");
    }
    assert!(matches!(within(host.observe(ONE)).await, Ok(Observed::Running { .. })));
    assert_eq!(bench.shim(ONE), shim);
}

#[tokio::test]
async fn an_ordinary_account_contains_runs_too() {
    if !alone("contained::an_ordinary_account_contains_runs_too", |test| test.uid(65534).gid(65534)) {
        return;
    }
    assert!(!is_root());
    let bench = Bench::new();
    let host = bench.host();
    for (name, script) in escapes() {
        let generation = 2 * escapes().iter().position(|it| it.0 == name).expect("one of them") as i64 + 1;
        let script = format!("grep -E 'CapEff|NSpid' /proc/self/status | tr '\\t' ' '; {script}");
        bench.start(&host, ONE, generation, &game(&script)).await.expect(name);
        let beat = bench.server(ONE).join("world/beat");
        beats(&beat).await;
        let lines = bench.console(ONE);
        assert!(lines.contains("CapEff: 0000000000000000"), "{lines}");
        if generation % 4 == 1 {
            bench::kill(bench.shim(ONE));
            eventually(async || within(host.observe(ONE)).await.is_ok_and(|it| matches!(it, Observed::Ended { .. })))
                .await;
        }
        assert_eq!(bench.stop(&host, ONE, generation + 1).await, Ok(Reached::Stopped), "{name}");
        let size = fs::metadata(&beat).expect(name).len();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(fs::metadata(&beat).expect(name).len(), size, "{name}: a process lives on");
    }
}

#[tokio::test]
async fn survivor_without_a_namespace_is_ended() {
    let name = "contained::survivor_without_a_namespace_is_ended";
    if !is_root() || !alone(name, |test| test.arg("--bounding-set=-sys_admin")) {
        return;
    }
    // No other test has this account, all of whose processes are ended.
    let uid = 1_800_000_000;
    for (name, script) in escapes() {
        for next in ["start", "stop", "delete", "clear"] {
            let host = |bench: &Bench| bench.host_with(|config| config.machine.game_uids = uid..=uid);
            let _bench = survive(name, &script, next, host).await;
            assert_eq!(processes_of(uid), usize::from(next == "start"), "{name}, {next}");
        }
    }
}

#[tokio::test]
async fn survivor_of_one_account_is_ended() {
    // The last word of a user namespace: it holds no other.
    let none = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all \"$@\"";
    let refused = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", none, "sh"];
    let name = "contained::survivor_of_one_account_is_ended";
    if !alone(name, |test| test.args(refused).uid(65534).gid(65534)) {
        return;
    }
    // A chain of forks may outrun a look at all processes.
    for (name, script) in escapes().into_iter().filter(|it| it.0 != "a chain of forks") {
        for next in ["start", "stop"] {
            let beat = survive(name, &script, next, Bench::host).await;
            is_still(&beat.1).await;
        }
    }
}

/// Kills the supervisor of a game that outlives it, and does what comes next. Returns the bench, and the file that the
/// survivors write.
async fn survive(
    name: &str,
    script: &str,
    next: &str,
    host: impl Fn(&Bench) -> agis_host_process::ProcessHost,
) -> (Bench, std::path::PathBuf) {
    let bench = Bench::new();
    let host = host(&bench);
    bench.start(&host, ONE, 1, &game(script)).await.expect(name);
    let beat = bench.server(ONE).join("world/beat");
    beats(&beat).await;
    bench::kill(bench.shim(ONE));
    eventually(async || matches!(within(host.observe(ONE)).await, Ok(Observed::Ended { .. }))).await;
    match next {
        "start" => drop(bench.start(&host, ONE, 2, &game("echo ready; exec sleep 1000")).await.expect(name)),
        "stop" => assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped), "{name}"),
        "delete" => assert_eq!(bench.delete(&host, ONE, 2).await, Ok(Reached::Deleted), "{name}"),
        _ => host.clear(ONE, 1).await.expect(name),
    }
    (bench, beat)
}

/// Returns the number of an account's living processes.
fn processes_of(uid: u32) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let is_of = |status: &str| {
        status.lines().any(|line| line.starts_with(&format!("Uid:\t{uid}\t"))) && !status.contains("State:\tZ")
    };
    processes.filter(|it| fs::read_to_string(it.path().join("status")).is_ok_and(|text| is_of(&text))).count()
}

#[tokio::test]
async fn locked_world_starts_again_and_is_deleted() {
    // Root may enter whatever is locked.
    if !alone("contained::locked_world_starts_again_and_is_deleted", |test| test.uid(65534).gid(65534)) {
        return;
    }
    let bench = Bench::new();
    let host = bench.host();
    let locks = game("mkdir -p deep; echo x > deep/file; chmod 000 deep .; echo ready; sleep 1000");
    for generation in [1, 2] {
        bench.start(&host, ONE, generation, &locks).await.expect("it starts");
    }
    assert_eq!(bench.delete(&host, ONE, 3).await, Ok(Reached::Deleted));
}

#[tokio::test]
async fn kernel_ends_a_game_before_agis() {
    let bench = Bench::new();
    let lines = told(&bench, ONE, "cat /proc/self/oom_score_adj; touch /run/lock/mine && echo writes").await;
    assert!(lines.contains(" 500\n") && lines.contains(" writes\n"), "{lines}");
    assert!(!std::path::Path::new("/run/lock/mine").exists(), "the machine's folder is the machine's");
}

#[tokio::test]
async fn world_that_is_a_link_is_refused() {
    let bench = Bench::new();
    let host = bench.host();
    bench.stop(&host, ONE, 1).await.expect("nothing runs");
    std::os::unix::fs::symlink("/etc", bench.server(ONE).join("world")).expect("a link");
    let refused = bench.start(&host, ONE, 2, &bench::demo("")).await;
    assert!(matches!(&refused, Err(HostError::Unavailable(why)) if why.contains("world is a link")), "{refused:?}");
}

#[tokio::test]
async fn temporary_files_count_by_the_limit_of_memory() {
    let bench = Bench::new();
    let host = bench.host();
    let fills = "head -c 20000000 /dev/zero > /tmp/full; ls -l /tmp/full; echo ready; sleep 1000";
    let settings = format!("limits = {{ memory = '64MiB' }}\n{READY}");
    bench.start(&host, ONE, 1, &bench::script(fills, &settings)).await.expect("it starts");
    let lines = bench.console(ONE);
    assert!(lines.contains(" 16777216 "), "a quarter of the limit: {lines}");
}

#[tokio::test]
async fn a_range_of_accounts_that_is_too_small_is_told() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let host = bench.host_with(|config| config.machine.game_uids = 1_900_000_000..=1_900_000_000);
    bench.start(&host, ONE, 1, &bench::demo("")).await.expect("it starts");
    let refused = bench.start(&host, TWO, 1, &bench::demo("")).await;
    let why = "this server would share its account with server 1: widen GAME_UIDS";
    assert_eq!(refused, Err(HostError::Failed(why.to_owned())));
}
