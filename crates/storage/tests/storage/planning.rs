//! Plans of schedules.

use agis_scheduler::store::FiringStore;

use crate::scene::{OWNER, Scene, number};

#[tokio::test]
async fn planning_again_passes_over_newer_words() {
    let Scene { sql, db, .. } = &Scene::start().await;
    sql.batch_execute(&format!(
        "alter table server_schedules drop constraint server_schedules_actions,
             drop constraint server_schedules_work, drop constraint server_schedules_trigger,
             drop constraint server_schedules_policy;
         insert into game_servers (id, discord_id, name, game_type, host) values (1, '{OWNER}', 'one', 'demo', 'there');
         insert into server_schedules (server_id, discord_id, action, missed_run_policy, cron_expression, next_run, zone_version)
             select 1, '{OWNER}', action, policy, '0 5 * * *', now() + interval '1 hour', '2000a'
             from (values ('hibernate', 'skip'), ('start', 'run_all'), ('start', 'skip')) newer (action, policy)"
    ))
    .await
    .expect("schedules that older data has planned");
    let planned = db.plan_again(10).await.expect("the schedules of this version");
    assert_eq!(planned.schedules, 1);
    let left = "select count(*) from server_schedules where zone_version = '2000a'";
    assert_eq!(number(sql, left).await, 2, "the schedules of the newer version are left to it");
    assert_eq!(db.plan_again(10).await.expect("nothing more").schedules, 0);
}
