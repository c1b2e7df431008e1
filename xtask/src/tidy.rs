//! Rules about the words of the source, as tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::state::checkout;

/// Words that open no sentence of a comment: a reader who skims learns nothing from them. See CONTRIBUTING.md, "Style".
const EMPTY_OPENINGS: [&str; 8] = ["What", "Where", "Who", "Whoever", "Which", "That", "Those", "It"];
/// Crates that log for developers alone.
const NOT_OPERATED: [&str; 7] =
    ["xtask", "bench", "soak", "test-support", "local-services", "discord-stand-in", "agones-stand-in"];
/// Names that begin a log message with a capital letter.
const PROPER_NAMES: [&str; 4] = ["Agones", "Discord", "Discord's", "API"];

#[test]
fn comments_open_with_their_subject() {
    let mut faults = vec![];
    for (path, text) in sources() {
        let mut sentence_begins = true;
        for (number, line) in text.lines().enumerate() {
            let Some(comment) = comment(line) else {
                sentence_begins = true;
                continue;
            };
            let opening = comment.split([' ', ',', ':', '.', ';']).next().unwrap_or_default();
            if sentence_begins && EMPTY_OPENINGS.contains(&opening) {
                faults.push(format!("{}:{}: {comment}", path.display(), number + 1));
            }
            sentence_begins = comment.is_empty() || comment.starts_with('#') || comment.ends_with(['.', ':', '!', '?']);
        }
    }
    assert!(faults.is_empty(), "{} comments open with an empty word:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn log_messages_are_constant_and_documented() {
    let page = fs::read_to_string(checkout().join("docs/operations/logs.md")).expect("a page on log messages");
    let documented: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).collect();
    let documented: BTreeSet<_> = documented.into_iter().map(|(message, _)| message.to_owned()).collect();
    let mut logged = BTreeMap::new();
    for (path, text) in sources() {
        let has = |name: &str| path.components().any(|it| it.as_os_str() == name);
        if !has("src") || NOT_OPERATED.into_iter().any(has) {
            continue;
        }
        for message in log_messages(&text) {
            logged.insert(message, path.clone());
        }
    }
    let mut faults = vec![];
    for (message, path) in &logged {
        let first = message.split(' ').next().unwrap_or_default();
        let is_capital = message.starts_with(char::is_uppercase) && !PROPER_NAMES.contains(&first);
        if message.contains('{') || message.ends_with('.') || is_capital {
            faults.push(format!("{}: `{message}` is not a constant in lower case", path.display()));
        }
        if !documented.contains(message) {
            faults.push(format!("{}: `{message}` is not in docs/operations/logs.md", path.display()));
        }
    }
    faults.extend(
        documented.iter().filter(|it| !logged.contains_key(*it)).map(|it| format!("logs.md: nothing logs `{it}`")),
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn test_names_are_short() {
    for (path, text) in sources() {
        for (at, _) in text.match_indices("test]\n").chain(text.match_indices("\")]\n")) {
            let after = text[at..].lines().skip(1).map(str::trim_start).find(|line| !line.starts_with("#["));
            let name = after.and_then(|line| line.trim_start_matches("async ").strip_prefix("fn ")?.split('(').next());
            assert!(name.is_none_or(|name| name.len() <= 60), "{}: {name:?} is too long", path.display());
        }
    }
}

/// cargo-deny does not tell the tests' dependencies from the others.
#[test]
fn automation_depends_on_storage_in_tests_only() {
    let manifest = fs::read_to_string(checkout().join("crates/automation/Cargo.toml")).expect("a manifest");
    let (own, tests) = manifest.split_once("[dev-dependencies]").expect("tests");
    assert!(!own.contains("agis-storage") && tests.contains("agis-storage"));
}

/// Returns every Rust file of the project with its text; paths begin at the checkout.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    for folder in ["crates", "bins", "xtask"] {
        read(&checkout().join(folder), &mut found);
    }
    assert!(found.len() > 100, "the sources are not where they were");
    found
}

fn read(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).expect("text");
            found.push((path.strip_prefix(checkout()).expect("a path below").to_owned(), text));
        }
    }
}

/// Returns the text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    let comment = line.trim_start().strip_prefix("//")?;
    Some(comment.strip_prefix(['/', '!']).unwrap_or(comment).trim())
}

/// Returns the messages of the macros of `tracing` in a file. Spans and fields have none.
fn log_messages(text: &str) -> Vec<String> {
    let mut messages = vec![];
    for level in ["debug!(", "info!(", "warn!(", "error!("] {
        for (at, _) in text.match_indices(level) {
            messages.extend(message(&text[at + level.len()..]));
        }
    }
    messages
}

/// Returns the first string literal among the arguments that is not the value of a field.
fn message(arguments: &str) -> Option<String> {
    let (mut depth, mut before, mut rest) = (1, String::new(), arguments.chars());
    while let Some(next) = rest.next() {
        match next {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '"' => {
                let mut literal = String::new();
                while let Some(inside) = rest.next().filter(|it| *it != '"') {
                    literal.extend((inside == '\\').then(|| rest.next()).flatten().or(Some(inside)));
                }
                if depth == 1 && !before.trim_end().ends_with('=') {
                    return Some(literal);
                }
            }
            _ => {}
        }
        if depth == 0 {
            return None;
        }
        before.push(next);
    }
    None
}

#[test]
fn message_is_found_among_fields() {
    let text =
        r#"tracing::warn!(server_id = id.0, kind = "x", why = f("y", [1]), %error, "a \"game\" ended"); info!(a = 1);"#;
    assert_eq!(log_messages(text), ["a \"game\" ended"]);
}
