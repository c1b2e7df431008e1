//! A migration locks no table that is in use for long.

use std::{collections::BTreeSet, path::PathBuf};

use super::all;

/// From this one on every migration keeps to the rules; what came before the first release need not.
const FIRST: &str = "2026-11-28";

fn directory(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations")).join(name)
}

/// The statements of a file, each in lower case and with single spaces.
fn statements(name: &str, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(directory(name).join(file)).expect("a file").to_lowercase();
    let code: String =
        text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let statements = code.split(';').map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
    statements.filter(|it| !it.is_empty()).collect()
}

/// The word after these.
fn after<'a>(statement: &'a str, words: &str) -> Option<&'a str> {
    let rest = statement.split_once(words)?.1.trim_start().trim_start_matches("if not exists ");
    rest.split([' ', '(']).next()
}

/// Why a statement must not stand in a migration beside these others.
fn wrong(statement: &str, others: &[String], in_transaction: bool) -> Option<&'static str> {
    let new: BTreeSet<_> = others.iter().filter_map(|other| after(other, "create table ")).collect();
    let is_new = |table: Option<&str>| table.is_some_and(|table| new.contains(table));
    let says = |words: &str| statement.contains(words);
    if !in_transaction {
        let repeatable = ["create index concurrently if not exists", "create unique index concurrently if not exists"];
        let known = repeatable.iter().any(|words| statement.starts_with(words))
            || statement.starts_with("drop index concurrently if exists")
            || says("validate constraint");
        return (others.len() != 1 || !known).then_some(
            "a migration without a transaction is one statement that may be repeated: create index concurrently if not \
             exists, drop index concurrently if exists, or validate constraint",
        );
    }
    if says("concurrently") {
        return Some("concurrently: in a migration of its own, whose metadata.toml says run_in_transaction = false");
    }
    if (statement.starts_with("create index") || statement.starts_with("create unique index"))
        && !is_new(after(statement, " on "))
    {
        return Some("an index on a table that is in use is built concurrently");
    }
    if !statement.starts_with("alter table") || is_new(after(statement, "alter table ")) {
        return None;
    }
    if says("validate constraint") && others.iter().any(|other| other.contains("not valid")) {
        return Some(
            "a constraint is validated in another migration than it is added in: the lock of this one is exclusive",
        );
    }
    let adds = says(" check (") || says(" references ");
    if adds && statement.matches("not valid").count() < statement.matches("add constraint").count().max(1) {
        return Some(
            "a constraint on a table that is in use is added as not valid, and validated by a later migration",
        );
    }
    let rewrites = says(" set not null") || (says(" alter column ") && says(" type "));
    rewrites.then_some("this reads or writes the whole table under an exclusive lock")
}

#[test]
fn new_migrations_take_short_locks_only() {
    for name in all().iter().filter(|name| name.as_str() >= FIRST) {
        let in_transaction = !directory(name).join("metadata.toml").exists();
        let up = statements(name, "up.sql");
        for statement in &up {
            if let Some(why) = wrong(statement, &up, in_transaction) {
                panic!("{name}: {statement}\n{why}; see docs/operations/upgrade.md");
            }
        }
        assert!(in_transaction || statements(name, "down.sql").len() == 1, "{name}: down.sql is one statement");
    }
}

#[test]
fn long_locks_are_seen() {
    let refused = |file: &[&str], in_transaction| {
        let all: Vec<_> = file.iter().map(ToString::to_string).collect();
        all.iter().any(|statement| wrong(statement, &all, in_transaction).is_some())
    };
    for (file, in_transaction, bad) in [
        (&["create index i on users (tier)"][..], true, true),
        (&["create table t (id int)", "create index i on t (id)"], true, false),
        (&["create index concurrently if not exists i on users (tier)"], false, false),
        (&["create index concurrently i on users (tier)"], false, true),
        (&["create index concurrently if not exists i on users (tier)"], true, true),
        (&["alter table users add constraint c check (credits > 0)"], true, true),
        (&["alter table users add constraint c check (credits > 0) not valid"], true, false),
        (&["alter table users add column c text check (c <> '')"], true, true),
        (
            &[
                "alter table users add constraint c check (credits > 0) not valid",
                "alter table users validate constraint c",
            ],
            true,
            true,
        ),
        (&["alter table users validate constraint c"], true, false),
        (&["alter table users add column c text"], true, false),
        (&["alter table users alter column tier set not null"], true, true),
    ] {
        assert_eq!(refused(file, in_transaction), bad, "{file:?}");
    }
}
