//! A container engine of this run, and a game for it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use agis_local_services::engine::{Engine, Make};

use crate::failure::Result;
use crate::run::step;
use crate::state::State;

/// Settings by which `agis-api` finds an engine.
const ENGINES: [&str; 2] = ["CONTAINER_HOST", "DOCKER_HOST"];
const IMAGE: &str = "docker.io/agis-dev/demo:1";

/// Engine that games run in.
pub(super) struct Containers {
    /// `None`: the engine that the environment names.
    _engine: Option<Engine>,
    /// Settings of `agis-api`.
    pub(super) environment: Vec<(&'static str, OsString)>,
}

impl Containers {
    /// Starts an engine with an image of the demo game, unless the environment names an engine. `program` is `agis-api`.
    pub(super) fn start(program: &Path, state: &State) -> Result<Self> {
        let hosts = ("AGIS_HOST", "process,container".into());
        if let Some(engine) = ENGINES.into_iter().find_map(env::var_os) {
            step(format_args!("games run as containers of {} too", engine.display()));
            return Ok(Self { _engine: None, environment: vec![hosts] });
        }
        Make::Podman.install();
        step("starting Podman, and building an image of the demo game");
        let engine = Engine::start(Make::Podman)?;
        engine.build(IMAGE, &[&program.with_file_name("agis-shim")], "WORKDIR /data")?;
        // The engine of an earlier run is gone with its containers.
        let _ = fs::remove_file(state.data().join("engine"));
        let socket = format!("unix://{}", engine.socket().display());
        let mut environment = vec![hosts, ("CONTAINER_HOST", socket.into())];
        if env::var_os("GAMES_FILE").is_none() {
            let file = state.dir().join("games.toml");
            fs::write(&file, catalogue())?;
            environment.push(("GAMES_FILE", file.into()));
            step("games run as containers too: try the game_type demo-container");
        }
        Ok(Self { _engine: Some(engine), environment })
    }
}

/// Returns the built-in games, and the demo in a container.
fn catalogue() -> String {
    format!(
        r#"# Written by `cargo xtask dev --containers`. GAMES_FILE names a file of your own.
extend = "built-in"

[demo-container]
title = "Demo in a container"
ports = [{{ name = "game", port = 27600 }}]
cost_per_hour = 0
ready = {{ when = {{ log = "ready for players" }}, within_s = 30 }}
stop = {{ how = {{ signal = "SIGTERM" }}, grace_s = 10 }}
limits = {{ memory = "256MiB", pids = 64 }}
[demo-container.container]
image = "{IMAGE}"
world = "/data"
command = ["agis-shim", "demo-game", "--bind", "{{bind}}", "--port", "{{port}}", "--name", "{{name}}"]
"#
    )
}

#[cfg(test)]
mod tests {
    use agis_servers::game::Catalogue;

    #[test]
    fn catalogue_has_a_game_in_a_container() {
        let text = super::catalogue().replace("extend = \"built-in\"", "");
        let catalogue = Catalogue::parse(&text).expect("a catalogue");
        assert!(catalogue.get("demo-container").expect("the game").container().is_some());
    }
}
