//! Servers on which nobody plays: which zeros count, and who stops a server when.

use agis_base::ServerId;
use agis_servers::{
    Access, IdleRule, Origin, RestartOn, Server, ServerChange,
    idle::KeepWindow,
    players::Players,
    store::{Billing, Counted, IdleRound, IdleStore, PlayerStore, ServerStore},
};
use agis_storage::Db;
use futures_util::future::join_all;
use tokio_postgres::Client;

use crate::scene::{OWNER, Scene, number, queue};

async fn run(sql: &Client, statement: &str) {
    sql.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Makes so many servers that run, and whose owner is the user of the scene.
async fn running(sql: &Client, servers: i32) {
    queue(sql, "there", 1..=1, servers).await;
    run(
        sql,
        &format!(
            "update game_servers set status = 'running', status_generation = 1, address = 'here', port = 7, discord_id = '{OWNER}';
             update operations set state = 'succeeded', finished_at = now()"
        ),
    )
    .await;
}

/// Gives every server the rule to be stopped after half an hour.
async fn rules(db: &Db, sql: &Client, keep: &[KeepWindow]) -> Vec<ServerId> {
    let ids = sql.query("select id from game_servers order by id", &[]).await.expect("servers");
    let ids: Vec<_> = ids.iter().map(|row| ServerId(row.get(0))).collect();
    for id in &ids {
        let rule = IdleRule { stop_after: "30m".parse().expect("a time"), keep: keep.to_vec(), wake_on_join: None };
        let change = ServerChange { idle: Some(Some(rule)), ..ServerChange::default() };
        let changed = db.change(&owner(), *id, &change, RestartOn::Crash).await.expect("changed").expect("a server");
        assert!(changed.idle.is_some());
    }
    ids
}

fn owner() -> agis_base::UserId {
    agis_base::UserId::from_stored(OWNER)
}

async fn server(db: &Db, id: ServerId) -> Server {
    let (server, access) = db.find(&owner(), id).await.expect("found").expect("a server");
    assert_eq!(access, Access::Owner);
    server
}

/// Asks every server, of which each answers so many players.
async fn ask(db: &Db, online: u32) {
    let probes = db.claim_probes("there", &["demo".to_owned()], 1000).await.expect("claims");
    let answer = |probe: &agis_servers::store::Probe| Counted {
        server: probe.server,
        at: probe.at,
        generation: probe.generation,
        players: Players::new(online, None, None),
    };
    let answers: Vec<_> = probes.iter().map(answer).collect();
    assert!(!answers.is_empty(), "nobody was asked");
    db.store_players(&answers).await.expect("stored");
}

/// Lets this time pass for every claim and count.
async fn pass(sql: &Client, seconds: i32) {
    let ago = |column: &str| format!("{column} = {column} - interval '{seconds} s'");
    let columns = ["claimed_at", "measured_at", "empty_since", "empty_until"].map(ago).join(", ");
    run(sql, &format!("update server_players set {columns}")).await;
    let columns = ["empty_since", "stop_at", "asleep_since", "saves_from"].map(ago).join(", ");
    run(sql, &format!("update server_idle set {columns}")).await;
}

/// Returns for how long nobody has played, in seconds; -1 if nobody knows, or somebody plays.
async fn empty_for(sql: &Client) -> i64 {
    let query = "select coalesce(extract(epoch from empty_until - empty_since)::bigint, -1) from server_players";
    number(sql, query).await
}

/// Makes nobody play for this time, with a count of this moment.
async fn empty(db: &Db, sql: &Client, minutes: i32) {
    pass(sql, 20).await;
    ask(db, 0).await;
    run(sql, &format!("update server_players set empty_since = empty_until - interval '{minutes} min'")).await;
}

async fn round(db: &Db) -> IdleRound {
    db.stop_idle(None, 100, Billing::On).await.expect("a round")
}

/// Counts the servers that a round announced and stopped.
async fn done(db: &Db) -> (usize, usize) {
    let round = round(db).await;
    (round.announced.len(), round.accepted.answers.iter().filter(|answer| answer.is_ok()).count())
}

/// Announces the stop of every server twice, so that it is due.
async fn announced(db: &Db, sql: &Client) {
    empty(db, sql, 40).await;
    assert_eq!(done(db).await.1, 0);
    run(sql, "update server_idle set stop_at = now(), is_last = true").await;
}

#[tokio::test]
async fn only_zeros_without_a_gap_are_one_emptiness() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 1).await;
    ask(db, 0).await;
    assert_eq!(empty_for(sql).await, 0);
    pass(sql, 59).await;
    ask(db, 0).await;
    assert_eq!(empty_for(sql).await, 59);
    pass(sql, 30).await;
    ask(db, 0).await;
    assert_eq!(empty_for(sql).await, 89);
    pass(sql, 61).await;
    ask(db, 0).await;
    assert_eq!(empty_for(sql).await, 0, "unknown meanwhile, which is somebody");
    pass(sql, 20).await;
    ask(db, 3).await;
    assert_eq!(empty_for(sql).await, -1);
    pass(sql, 20).await;
    ask(db, 0).await;
    assert_eq!(empty_for(sql).await, 0, "somebody has played");

    // As the rows look to a clock that was set back, or forth.
    for seconds in [-3600, 3600] {
        pass(sql, seconds).await;
        ask(db, 0).await;
        assert_eq!(empty_for(sql).await, 0, "the clock was set by {seconds} s");
    }
    pass(sql, 20).await;
    run(sql, "update game_servers set status_generation = 2, generation = 2").await;
    ask(db, 0).await;
    assert_eq!(empty_for(sql).await, 0, "another run");
    // An earlier version has stored a count.
    pass(sql, 20).await;
    run(sql, "update server_players set measured_at = measured_at + interval '5 s'").await;
    ask(db, 0).await;
    assert_eq!(empty_for(sql).await, 0, "nobody knows who played");
}

#[tokio::test]
async fn stop_is_announced_and_made_once() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 3).await;
    let ids = rules(db, sql, &[]).await;
    empty(db, sql, 24).await;
    assert_eq!(done(db).await, (0, 0), "it is too early");
    empty(db, sql, 25).await;
    let all = join_all((0..6).map(|_| done(db))).await;
    assert_eq!(all.iter().map(|(announced, _)| announced).sum::<usize>(), 3, "{all:?}");
    empty(db, sql, 29).await;
    // Their beginning is another one: somebody played.
    assert_eq!(done(db).await, (3, 0));

    let back = "update server_players p set empty_since = i.empty_since, empty_until = now(), measured_at = now()
                from server_idle i where i.server_id = p.server_id;
                update server_idle set stop_at = now()";
    run(sql, back).await;
    let round = round(db).await;
    assert_eq!(round.announced.iter().map(|it| it.minutes).collect::<Vec<_>>(), [1; 3]);
    assert_eq!(number(sql, "select count(*) from server_idle where stop_at > now() + interval '50 s'").await, 3);
    run(
        sql,
        "update server_players set empty_since = empty_since - interval '1 h';
              update server_idle set empty_since = empty_since - interval '1 h', stop_at = now()",
    )
    .await;
    let all = join_all((0..6).map(|_| done(db))).await;
    assert_eq!(all.iter().map(|(_, stopped)| stopped).sum::<usize>(), 3, "{all:?}");
    let stops = "select count(*) from operations where action = 'stop' and origin = 'idle' and state = 'queued'";
    assert_eq!(number(sql, stops).await, 3);
    assert_eq!(number(sql, "select count(*) from notices where kind = 'server_idle'").await, 3);
    assert_eq!(server(db, ids[0]).await.desired.as_str(), "stopped");
    assert_eq!(done(db).await, (0, 0));
}

#[tokio::test]
async fn nothing_else_may_act_on_the_server() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 1).await;
    let [id] = rules(db, sql, &[]).await.try_into().expect("one server");
    let ServerId(id) = id;
    let held = format!("insert into server_holds (server_id, since, held_by) values ({id}, now(), '1')");
    let asked = "update operations set state = 'queued', finished_at = null".to_owned();
    let chain = format!(
        "insert into server_schedules (id, server_id, discord_id, action, at, work, timezone, enabled, zone_version)
         values (1, {id}, '{OWNER}', 'steps', now(), '{{\"steps\": []}}', 'UTC', false, '');
         insert into schedule_runs (schedule_id, slot, action, state, operation_id, begun_at)
         values (1, now(), 'steps', 'pending', gen_random_uuid(), now())"
    );
    let part = format!(
        "insert into server_schedules (id, label, discord_id, action, at, work, timezone, enabled, zone_version)
         values (2, 'all', '{OWNER}', 'servers', now(), '{{\"steps\": []}}', 'UTC', false, '');
         insert into schedule_runs (schedule_id, slot, action, state, operation_id, begun_at, of_slot, server_id)
         values (2, now(), 'steps', 'pending', gen_random_uuid(), now(), now(), {id})"
    );
    for (begin, end) in [
        (held, "delete from server_holds"),
        (asked, "update operations set state = 'succeeded', finished_at = now()"),
        (chain, "update schedule_runs set state = 'succeeded', finished_at = now()"),
        (part, "update schedule_runs set state = 'succeeded', finished_at = now()"),
        ("update game_servers set desired = 'stopped'".to_owned(), "update game_servers set desired = 'running'"),
        ("update game_servers set generation = 2".to_owned(), "update game_servers set generation = 1"),
        ("update server_players set online = 1, empty_until = null".to_owned(), "select 1"),
        ("update server_players set measured_at = measured_at - interval '16 s', empty_until = empty_until - interval '16 s'".to_owned(), "select 1"),
    ] {
        announced(db, sql).await;
        run(sql, &begin).await;
        assert_eq!(done(db).await, (0, 0), "{begin}");
        run(sql, end).await;
        run(sql, "update server_idle set stop_at = null").await;
    }
    announced(db, sql).await;
    assert_eq!(done(db).await, (0, 1));
}

#[tokio::test]
async fn window_keeps_a_server_that_is_empty() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 1).await;
    let window = |from, to| KeepWindow::parse(from, to, "UTC").expect("a window");
    rules(db, sql, &[window("00:00", "12:00"), window("12:00", "00:00")]).await;
    empty(db, sql, 600).await;
    assert_eq!(done(db).await, (0, 0));
    rules(db, sql, &[]).await;
    assert_eq!(done(db).await, (1, 0));
}

#[tokio::test]
async fn sleep_ends_with_the_next_request() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 1).await;
    run(sql, "update game_servers set cost_per_hour = 30, paid_until = now() + interval '10 min'").await;
    let [id] = rules(db, sql, &[]).await.try_into().expect("one server");
    announced(db, sql).await;
    assert_eq!(done(db).await, (0, 1));
    let idle = async || server(db, id).await.idle.expect("a rule");
    assert_eq!(idle().await.asleep, None, "it does not sleep yet");
    let stopped = "update operations set state = 'succeeded', finished_at = now();
                   update game_servers set status = 'stopped', status_generation = generation";
    run(sql, stopped).await;
    assert!(idle().await.asleep.is_some());
    pass(sql, 2 * 3600 + 20 * 60).await;
    let now = chrono::Utc::now();
    assert_eq!(idle().await.saved_credits(30, now), 60, "the paid hour saves nothing");

    let request = agis_servers::Request {
        origin: Origin::Rest,
        ..agis_servers::Request::of_operator(id, agis_servers::Action::Start, owner())
    };
    let servers = crate::scene::servers(db, Billing::On);
    servers.request(request).await.expect("accepted");
    let after = idle().await;
    assert_eq!((after.asleep, after.saved), (None, 60));
    pass(sql, 10 * 3600).await;
    assert_eq!(idle().await.saved_credits(30, now), 60);
}

#[tokio::test]
async fn last_to_fall_asleep_have_the_gates() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 3).await;
    let ids = rules(db, sql, &[]).await;
    run(
        sql,
        "update game_servers set status = 'stopped', desired = 'stopped';
         update server_idle i set rule = rule || '{\"wake_on_join\": {\"players\": null}}', asleep_generation = s.generation,
                asleep_since = now() - s.id * interval '1 min'
         from game_servers s where s.id = i.server_id",
    )
    .await;
    let sleepers = db.asleep("there", 2).await.expect("sleepers");
    let open: Vec<_> = sleepers.latest.iter().map(|sleeper| sleeper.server).collect();
    assert_eq!((open.as_slice(), sleepers.all), (&ids[..2], 3));
    assert_eq!(db.without_gate(&ids, 2).await.expect("the others"), &ids[2..]);
    assert_eq!(db.without_gate(&ids[..2], 2).await.expect("none"), []);
}
