//! Limits on the numbers of schedules.

use std::time::{Duration, SystemTime};

use agis_base::{ServerId, UserId};
use agis_scheduler::{
    Action, MissedRunPolicy, NewSchedule, ScheduleChange, Target, Trigger, Work,
    store::{Limits, ScheduleStore, WriteError},
};

use crate::scene::{OWNER, Scene};

const LIMITS: Limits = Limits { per_server: 2, per_user: 10 };

#[tokio::test]
async fn disabled_instants_count_until_they_have_run() {
    let Scene { sql, db, .. } = &Scene::start().await;
    sql.batch_execute(&format!(
        "insert into game_servers (id, discord_id, name, game_type, host) values (1, '{OWNER}', 'one', 'demo', 'there')"
    ))
    .await
    .expect("a server");
    let owner = UserId::from_stored(OWNER);
    let new = NewSchedule {
        target: Target::Server(ServerId(1)),
        owner: owner.clone(),
        work: Work::of(Action::Start),
        trigger: Trigger::At((SystemTime::now() + Duration::from_secs(86_400)).into()),
        enabled: false,
        missed_run_policy: MissedRunPolicy::Skip,
    };
    let first = db.create(&new, LIMITS, None).await.expect("the first").id;
    db.create(&new, LIMITS, None).await.expect("the second");
    let third = db.create(&new, LIMITS, None).await;
    assert!(matches!(third, Err(WriteError::TooMany)), "{third:?}");

    // A schedule that has run takes no place, and takes one again when it is enabled.
    sql.batch_execute(&format!("update server_schedules set last_run = now() where id = {}", first.0))
        .await
        .expect("a run");
    db.create(&new, LIMITS, None).await.expect("another in its place");
    let again = ScheduleChange { enabled: Some(true), ..ScheduleChange::default() };
    let enabled = db.change(&owner, first, &again, LIMITS).await;
    assert!(matches!(enabled, Err(WriteError::TooMany)), "{enabled:?}");
}
