//! Storms over the programs: kills, rolling restarts, outages of PostgreSQL and Redis, a clock that jumps.

use std::time::{Duration, Instant};

use tokio::{task::block_in_place, time::sleep};

use crate::{
    error::Result,
    problems::{Problems, step},
    program::Program,
    samples::Samples,
    stage::Stage,
};

#[derive(Debug, Clone, Copy)]
enum Storm {
    KillApi,
    RestartApi,
    KillBot,
    RestartBot,
    RestartPostgres,
    StopPostgres,
    RestartRedis,
    FreezeRedis,
    Forward,
    Back,
}

const STORMS: [Storm; 10] = [
    Storm::KillApi,
    Storm::RestartApi,
    Storm::KillBot,
    Storm::RestartBot,
    Storm::RestartPostgres,
    Storm::StopPostgres,
    Storm::RestartRedis,
    Storm::FreezeRedis,
    Storm::Forward,
    Storm::Back,
];

/// Storms until this moment, with calm between them in which `samples` are taken. The second `agis-api` is never ended, and
/// the bot not in the second half: what they hold on to would be lost with them.
pub(crate) async fn rage(stage: &mut Stage, until: Instant, samples: &mut Samples, problems: &Problems) -> Result {
    let half = Instant::now() + until.saturating_duration_since(Instant::now()) / 2;
    let mut jumped = 0;
    while Instant::now() < until {
        calm(stage, until, samples, problems).await?;
        let storm = fastrand::choice(STORMS).unwrap_or(Storm::KillApi);
        if matches!(storm, Storm::KillBot | Storm::RestartBot) && Instant::now() > half {
            continue;
        }
        step(&format!("{storm:?}"));
        blow(stage, storm, &mut jumped, problems).await?;
    }
    // The end is looked at on a clock that is not behind what is stored.
    if jumped < 0 {
        stage.clock.jump(-jumped)?;
    }
    Ok(())
}

async fn calm(stage: &mut Stage, until: Instant, samples: &mut Samples, problems: &Problems) -> Result {
    let end = until.min(Instant::now() + Duration::from_secs(fastrand::u64(8..30)));
    while Instant::now() < end {
        for program in stage.programs() {
            if let Some(status) = program.exited() {
                problems.found("a program that ended by itself", format!("{}: {status}", program.name));
                program.kill();
                program.start()?;
                program.until_ready().await?;
            }
        }
        samples.take(stage);
        sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}

async fn blow(stage: &mut Stage, storm: Storm, jumped: &mut i64, problems: &Problems) -> Result {
    match storm {
        Storm::KillApi => kill(&mut stage.apis[0]).await?,
        Storm::RestartApi => restart(&mut stage.apis[0], problems).await?,
        Storm::KillBot => kill(&mut stage.bot).await?,
        Storm::RestartBot => restart(&mut stage.bot, problems).await?,
        Storm::RestartPostgres => block_in_place(|| stage.cluster.restart())?,
        Storm::StopPostgres => {
            block_in_place(|| stage.cluster.stop());
            sleep(Duration::from_secs(fastrand::u64(3..12))).await;
            block_in_place(|| stage.cluster.restart())?;
        }
        Storm::RestartRedis => {
            stage.redis.kill();
            sleep(Duration::from_secs(fastrand::u64(1..5))).await;
            block_in_place(|| stage.redis.restart())?;
        }
        Storm::FreezeRedis => {
            stage.redis.freeze();
            sleep(Duration::from_secs(fastrand::u64(1..5))).await;
            stage.redis.thaw();
        }
        Storm::Forward => jump(stage, jumped, fastrand::i64(20..150))?,
        Storm::Back => jump(stage, jumped, -fastrand::i64(20..90))?,
    }
    Ok(())
}

/// SIGKILL, and a start some seconds later.
async fn kill(program: &mut Program) -> Result {
    program.kill();
    sleep(Duration::from_millis(fastrand::u64(0..5000))).await;
    program.start()?;
    program.until_ready().await
}

/// SIGTERM, and a start at once.
async fn restart(program: &mut Program, problems: &Problems) -> Result {
    program.stop(problems).await;
    program.start()?;
    program.until_ready().await
}

fn jump(stage: &mut Stage, jumped: &mut i64, seconds: i64) -> Result {
    *jumped += seconds;
    stage.clock.jump(seconds)
}
