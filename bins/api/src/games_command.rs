//! `agis-api games`

use std::path::Path;

use agis_program::settings;
use agis_servers::game::{Catalogue, Game, GamePort, Mistake, RunsOn};

use crate::{
    cli::{Failure, GamesCommand, answer},
    config,
    pull::pull,
};

pub(crate) fn games(command: Option<GamesCommand>) -> Result<(), Failure> {
    match command {
        None => list(config::catalogue(&settings::environment).map_err(Failure::from_display)?.as_ref()),
        Some(GamesCommand::Check { file }) => check(&file),
        Some(GamesCommand::Pull { games }) => crate::run(pull(&games)),
    }
}

/// Prints every mistake of a file and of those that it includes, or else its games.
fn check(file: &Path) -> Result<(), Failure> {
    let shown = file.display();
    let read = Catalogue::load_with(file, &agis_host_agones::mistake)
        .map_err(|error| Failure::new(format!("{shown} cannot be read: {error}")))?;
    let mistakes = match read {
        Ok(catalogue) => return list(&catalogue),
        Err(error) => error.0,
    };
    for Mistake { file, line, field, problem } in &mistakes {
        let file = if file.is_empty() { &shown.to_string() } else { file };
        let colon = if field.is_empty() { "" } else { ": " };
        answer(&format!("{file}:{line}: {field}{colon}{problem}"))?;
    }
    let mistakes = if mistakes.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
    Err(Failure::new(format!("{shown} has {mistakes}")))
}

fn list(catalogue: &Catalogue) -> Result<(), Failure> {
    let head = ["GAME", "TITLE", "RUNS ON", "PORTS", "PRICE", "TRIED", "DOCUMENTATION"].map(str::to_owned);
    let rows: Vec<_> = [head].into_iter().chain(catalogue.games().map(|game| row(game))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        answer(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn row(game: &Game) -> [String; 7] {
    let kinds = RunsOn::ALL.iter().filter(|kind| game.runs_on(**kind)).map(|kind| kind.as_str());
    let port = |GamePort { number, protocol, .. }: &GamePort| format!("{number}/{}", protocol.as_str());
    [
        game.key.clone(),
        game.title.clone(),
        kinds.collect::<Vec<_>>().join(","),
        or_dash(game.ports.iter().map(port).collect::<Vec<_>>().join(",")),
        game.cost_per_hour.to_string(),
        or_dash(game.about.tried.map(|tried| tried.as_str().to_owned()).unwrap_or_default()),
        or_dash(game.about.documentation.clone().unwrap_or_default()),
    ]
}

fn or_dash(cell: String) -> String {
    if cell.is_empty() { "-".to_owned() } else { cell }
}
