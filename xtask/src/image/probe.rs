//! Checks that the image works: starts its programs from it, as its account, and asks them.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use agis_local_services::postgres::Cluster;

use super::tool::{Container, Tool};
use crate::api;
use crate::failure::{Failure, Result};
use crate::http;
use crate::program::{Program, Stop, free_port, output};
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;
use crate::test::start_postgres;

/// The account that the manifests name too, and what runs where they name no command.
const STARTS: &str = "65532:65532 [/agis-api serve]";
const END: Duration = Duration::from_secs(30);
const STOP: Stop = Stop { limit: END, killed: "" };
const PAUSE: Duration = Duration::from_millis(50);

/// Migrates a private database, makes a key, serves, and ends, all by programs of the image.
pub(super) fn run(tool: &Tool, tag: &str, interrupts: &Interrupts) -> Result {
    let starts = tool.starts(tag)?;
    if starts != STARTS {
        return Err(Failure::new(format!("the image starts as {starts}, not as {STARTS}")));
    }
    let cluster = start_postgres()?;
    cluster.create_database("image")?;

    step(format_args!("starting {tag}"));
    let image = Image::new(tool, tag, &cluster)?;
    run_command(&mut image.command(&["/agis-api", "migrate", "up"]), interrupts)?;
    let key = output(&mut image.command(&["/agis-api", "keys", "create", "--user", api::USER]))?;
    refuses_without_a_token(&image)?;
    let mut serve = image.command(&["/agis-api", "serve"]);
    let mut program = Program::start("agis-api of the image", serve.stdout(Stdio::null()), STOP, interrupts)?;
    let served = program.wait_until_ready(&image.metrics).and_then(|()| answers(&image, &key));
    image.container.terminate(program.process());
    let status = end(program.process())?;
    served?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("agis-api of the image ended with {status} when it was asked to"))),
    }
}

struct Image<'a> {
    container: Container<'a>,
    settings: Vec<(&'static str, String)>,
    api: String,
    metrics: String,
}

impl<'a> Image<'a> {
    fn new(tool: &'a Tool, tag: &str, cluster: &Cluster) -> Result<Self> {
        let (api, metrics) = (free_port()?, free_port()?);
        // By its name: a static program looks names up by itself.
        let database = cluster.url("image").replace("127.0.0.1", "localhost");
        let settings = vec![
            ("DATABASE_URL", database),
            ("BIND_ADDRESS", "127.0.0.1".to_owned()),
            ("API_PORT", api.to_string()),
            ("METRICS_PORT", metrics.to_string()),
            ("AGIS_DATA_DIR", "/data".to_owned()),
            ("AGIS_HOST_NAME", "image".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        let container = tool.container(tag)?;
        Ok(Self { container, settings, api: format!("127.0.0.1:{api}"), metrics: format!("127.0.0.1:{metrics}") })
    }

    fn command(&self, program: &[&str]) -> Command {
        self.container.command(&self.settings, program)
    }
}

fn refuses_without_a_token(image: &Image<'_>) -> Result {
    let output = image.command(&["/agis-bot"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !said.contains("DISCORD_TOKEN") {
        return Err(Failure::new(format!("agis-bot of the image does not ask for a token: {said}")));
    }
    Ok(())
}

fn answers(image: &Image<'_>, key: &str) -> Result {
    for (host, path, key) in [
        (&image.metrics, "/healthz", None),
        (&image.metrics, "/metrics", None),
        (&image.api, "/api/v1/users/me", Some(key)),
        (&image.api, "/api/docs/", None),
    ] {
        let status = http::get(host, path, key)?;
        if status != 200 {
            return Err(Failure::new(format!("agis-api of the image answers {path} with {status}")));
        }
    }
    Ok(())
}

fn end(process: &mut Child) -> Result<ExitStatus> {
    let deadline = Instant::now() + END;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            process.kill()?;
            return Err(Failure::new(format!("agis-api of the image did not end within {} s", END.as_secs())));
        }
        std::thread::sleep(PAUSE);
    }
}
