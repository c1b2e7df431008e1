//! `agis-api migrate`

use agis_program::settings;
use agis_storage::{DatabaseUrl, migrations};

use crate::{
    cli::{Direction, Failure, answer, remark},
    config,
};

pub(crate) async fn migrate(direction: Direction) -> Result<(), Failure> {
    let url = config::database_url(&settings::environment).map_err(Failure::from_display)?;
    match direction {
        Direction::Up => up(&url).await,
        Direction::Down => down(&url).await,
        Direction::Redo => {
            down(&url).await?;
            up(&url).await
        }
        Direction::Status => {
            for migration in migrations::status(&url).await.map_err(Failure::from_display)? {
                answer(&format!("{} {}", if migration.applied { "applied" } else { "pending" }, migration.name))?;
            }
            Ok(())
        }
    }
}

async fn up(url: &DatabaseUrl) -> Result<(), Failure> {
    let applied = migrations::up(url, remark).await.map_err(Failure::from_display)?;
    for name in &applied {
        answer(&format!("applied {name}"))?;
    }
    if applied.is_empty() { answer("the schema is up to date") } else { Ok(()) }
}

async fn down(url: &DatabaseUrl) -> Result<(), Failure> {
    let name = migrations::down(url, remark).await.map_err(Failure::from_display)?;
    answer(&format!("reverted {name}"))
}
