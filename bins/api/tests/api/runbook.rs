//! The pages of docs/operations name metrics, settings, log lines, tables and pages that exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use agis_test_support::wait;

use crate::common::{SOON, Stack};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages, with their paths.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![];
    read(&root().join("docs/operations"), "md", &mut pages);
    assert!(pages.len() >= 4, "the pages are somewhere else");
    pages
}

/// Everything that the programs are made of, without the breaks in it: a literal may go over several lines.
fn source() -> String {
    let mut files = vec![];
    for directory in ["bins/api/src", "bins/bot/src", "crates"] {
        read(&root().join(directory), "rs", &mut files);
    }
    files.retain(|(path, _)| !path.components().any(|part| part.as_os_str() == "tests"));
    let whole: String = files.into_iter().map(|(_, text)| text).collect();
    in_one_line(&whole.replace("\\\n", ""))
}

/// Files whose name ends like this, in a directory and all below it.
fn read(directory: &Path, ending: &str, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, ending, files);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            files.push((path.clone(), fs::read_to_string(path).expect("text")));
        }
    }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words of letters, digits and `_`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}

/// Returns the texts between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    text.split(begin).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}

fn all(of: impl Fn(&str) -> Vec<String>) -> BTreeSet<String> {
    let found: BTreeSet<_> = pages().iter().flat_map(|(_, text)| of(text)).collect();
    assert!(!found.is_empty(), "there is nothing to check");
    found
}

#[test]
fn every_metric_is_one_that_a_program_has() {
    let source = source();
    let named = all(|page| words(page).filter(|word| word.starts_with("agis_bot_")).map(str::to_owned).collect());
    let unknown: Vec<_> = named.iter().filter(|metric| !source.contains(&format!("\"{metric}\""))).collect();
    assert!(unknown.is_empty(), "no program has {unknown:?}");
}

#[test]
fn every_setting_is_in_the_reference() {
    let reference = fs::read_to_string(root().join("docs/CONFIGURATION.md")).expect("the reference");
    // Variables of the guides' scripts, and capabilities(7), are no settings.
    let is_other = |word: &str| ["AGIS_API_URL", "AGIS_API_KEY"].contains(&word) || word.starts_with("CAP_");
    let is_setting =
        |word: &&str| word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !is_other(word);
    let named = all(|page| words(page).filter(is_setting).map(str::to_owned).collect());
    let unknown: Vec<_> = named.iter().filter(|key| !reference.contains(&format!("| `{key}` |"))).collect();
    assert!(unknown.is_empty(), "the reference does not list {unknown:?}");
}

#[test]
fn every_log_line_is_written_by_a_program() {
    let source = source();
    let named = all(|page| between(page, "`\"", "\"`").into_iter().map(in_one_line).collect());
    let unknown: Vec<_> = named.iter().filter(|line| !source.contains(&format!("\"{line}\""))).collect();
    assert!(unknown.is_empty(), "no program writes {unknown:?}");
}

#[test]
fn every_link_leads_to_a_file() {
    for (path, text) in pages() {
        for link in between(&text, "](", ")").into_iter().filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap_or_default();
            let file = path.with_file_name(if file.is_empty() { "." } else { file });
            assert!(file.exists(), "{}: {link}", path.display());
        }
    }
}

#[tokio::test]
async fn every_statement_runs() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    for block in all(|page| between(page, "```sql\n", "```").into_iter().map(str::to_owned).collect()) {
        let undone = format!("begin; {block}; rollback");
        sql.batch_execute(&undone).await.unwrap_or_else(|error| panic!("{block}: {error:?}"));
    }
}

#[tokio::test]
async fn deleted_world_comes_back_by_the_runbook() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let old = api.server("gone too soon", "sleeper").await;
    api.act(old, "start").await;
    fs::write(stack.server_dir(old).join("world/castle"), "high walls").expect("a world");
    let deleted = api.call("DELETE", &format!("/api/v1/servers/{old}"), None).await.expect(202);
    api.ended(deleted["id"].as_str().expect("an id")).await;

    let new = api.server("back again", "sleeper").await;
    api.act(new, "start").await;
    api.act(new, "stop").await;
    let kept = fs::read_dir(stack.data_dir().join("trash")).expect("the trash").flatten();
    let of_old =
        |path: &PathBuf| path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(&format!("{old}-")));
    let kept = kept.map(|entry| entry.path()).find(of_old).expect("a world that is kept");
    let world = stack.server_dir(new).join("world");
    fs::rename(&world, world.with_extension("empty")).expect("moved away");
    fs::rename(kept, &world).expect("moved back");
    fs::remove_dir_all(world.with_extension("empty")).expect("removed");
    api.act(new, "start").await;
    assert_eq!(fs::read_to_string(world.join("castle")).expect("the castle"), "high walls");
    // The game is ready without a delay, and may not have entered its world yet.
    let there = world.canonicalize().expect("there");
    wait::until(SOON, "the game to work in its world", async || {
        let game = stack.process_of(new)?["game"]["pid"].as_i64()?;
        (fs::read_link(format!("/proc/{game}/cwd")).ok()? == there).then_some(())
    })
    .await;
}
