//! `agis-api games pull`

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
};

use agis_host_container::PullProgress;
use agis_program::settings;
use agis_servers::game::Catalogue;

use crate::{
    cli::{Failure, answer},
    config,
};

/// Characters of the bar.
const BAR: u64 = 30;

/// Pulls the newest images of these games, or of every game that runs as a container.
pub(crate) async fn pull(games: &[String]) -> Result<(), Failure> {
    let (catalogue, images) = config::containers(&settings::environment).map_err(Failure::from_display)?;
    let wanted = wanted(&catalogue, games)?;
    let mut failed = 0;
    for image in &wanted {
        let pulled = images.pull(image, &|progress| show(image, progress)).await;
        clear();
        match pulled {
            Ok(digest) => answer(&format!("{image}\n    {digest}"))?,
            // The others may be there.
            Err(error) => {
                failed += 1;
                answer(&format!("{image}\n    FAILED: {error}"))?;
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(format!("{failed} of {} images could not be pulled", wanted.len()))),
    }
}

/// Returns the images of the games, each once.
fn wanted(catalogue: &Catalogue, games: &[String]) -> Result<BTreeSet<String>, Failure> {
    let image = |key: &String| {
        let game = catalogue
            .get(key)
            .ok_or_else(|| Failure::new(format!("there is no game '{key}'; see 'agis-api games'")))?;
        let container = game.container().ok_or_else(|| Failure::new(format!("the game '{key}' has no image")))?;
        Ok(container.image.clone())
    };
    if !games.is_empty() {
        return games.iter().map(image).collect();
    }
    let all: BTreeSet<_> = catalogue.games().filter_map(|game| Some(game.container()?.image.clone())).collect();
    if all.is_empty() { Err(Failure::new("no game of the catalogue has an image")) } else { Ok(all) }
}

/// Shows a bar to a person. A file of a script's output has no use for one.
fn show(image: &str, progress: PullProgress) {
    if !io::stderr().is_terminal() {
        return;
    }
    let done = (progress.current.saturating_mul(BAR)).checked_div(progress.total).unwrap_or(0).min(BAR);
    let bar = format!("{}{}", "#".repeat(done as usize), ".".repeat((BAR - done) as usize));
    let _ = write!(io::stderr(), "\r\x1b[K[{bar}] {image}: {progress}");
}

fn clear() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_is_pulled_once() {
        let game = |key: &str, runs: &str| {
            format!("[{key}]\ntitle = '{key}'\nport = 1\ncost_per_hour = 0\nready = {{ when = 'port' }}\n{runs}\n")
        };
        let container = "container = { image = 'docker.io/x/y:1', world = '/data' }";
        let text = [game("a", container), game("b", container), game("c", "command = ['c']")].concat();
        let catalogue = Catalogue::parse(&text).expect("a catalogue");
        let images = |games: &[&str]| {
            let games: Vec<_> = games.iter().map(|game| (*game).to_owned()).collect();
            wanted(&catalogue, &games).map(|images| images.into_iter().collect::<Vec<_>>()).ok()
        };
        assert_eq!(images(&[]), Some(vec!["docker.io/x/y:1".to_owned()]));
        assert_eq!(images(&["a", "b"]), images(&[]));
        assert_eq!((images(&["c"]), images(&["d"])), (None, None));
    }
}
