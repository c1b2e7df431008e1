//! Types the commands of the guides, in order, on a real server.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::common::{Stack, program};

/// For a whole guide, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The blocks of a language, one behind the other.
fn blocks(guide: &str, language: &str) -> String {
    let of_language = |block: &&str| block.lines().next() == Some(language);
    let script = guide.split("```").skip(1).step_by(2).filter(of_language);
    let script: String = script.filter_map(|block| block.split_once('\n')).map(|(_, code)| code).collect();
    assert!(!script.is_empty(), "there is no {language} in this guide");
    script
}

async fn typed(program: &[&str], script: &str, base: &str, key: &str) -> Output {
    let programs = program::path("agis-api").parent().expect("a directory").display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new(program[0]);
    let shell = shell.args(&program[1..]).env("PATH", path).env("AGIS_API_URL", base).env("AGIS_API_KEY", key);
    let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut shell = shell.spawn().unwrap_or_else(|error| panic!("{}: {error}", program[0]));
    let mut input = shell.stdin.take().expect("a pipe");
    input.write_all(script.as_bytes()).await.expect("a reader");
    drop(input);
    timeout(PATIENCE, shell.wait_with_output()).await.expect("an end in time").expect("an end")
}

async fn run(guide: &str) {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let bash = ["bash", "-euxo", "pipefail", "/dev/stdin"];
    let output = typed(&bash, &blocks(guide, "sh"), &api.base, &stack.key).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    if guide.contains("```python") {
        let output = typed(&["python3", "-"], &blocks(guide, "python"), &api.base, &stack.key).await;
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).contains("discord_id"), "{}", text(&output.stdout));
    }
}

macro_rules! guides {
    ($($test:ident: $file:literal)+) => {
        $(#[tokio::test]
        async fn $test() {
            run(include_str!(concat!("../../../../docs/guides/", $file))).await;
        })+
    };
}
guides! {
    the_quickstart_works_as_it_is_written: "rest-quickstart.md"
    the_guide_to_keys_works_as_it_is_written: "api-keys.md"
    the_guide_to_limits_works_as_it_is_written: "rate-limits.md"
    the_guide_to_cron_works_as_it_is_written: "cron-by-example.md"
}
