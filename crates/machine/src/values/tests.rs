use std::{collections::BTreeMap, fs, path::Path};

use agis_servers::game::Catalogue;

use super::*;
use crate::files;

/// Names that are syntax for some reader of configurations.
const HOSTILE: [&str; 15] = [
    "\"\"\"",
    "{",
    "'''",
    "=x",
    ";x",
    "[network]",
    "the \"best\"",
    "x ;y",
    "x\\",
    "#1 Server",
    "--port",
    "Bob's \"best\" {place}",
    "x {port} {bind} $(reboot) `id` <&> %s \\o/",
    " a\u{2028}b\nbind_address = 0.0.0.0\u{85}",
    "Tuesday railways",
];

type Read = BTreeMap<(String, String), String>;

/// Reads as OpenTTD 13 does (src/ini_load.cpp).
fn openttd(text: &str) -> Read {
    let (mut read, mut group) = (Read::new(), String::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[') {
            group = name.strip_suffix(']').expect("the end of a group").to_owned();
            continue;
        }
        let at = line.find(['=', '\t', ' ']).unwrap_or(line.len());
        let value = line[at..].trim_start_matches(['=', '\t', ' ']);
        let value = value.strip_prefix('"').unwrap_or(value);
        read.insert((group.clone(), line[..at].to_owned()), value.strip_suffix('"').unwrap_or(value).to_owned());
    }
    read
}

/// Reads as Minetest 5 does (src/settings.cpp).
fn minetest(text: &str) -> Read {
    let mut read = Read::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.trim().split_once('=').filter(|_| !line.trim().starts_with('#')) else {
            continue;
        };
        let value = match value.trim() {
            "{" => panic!("a group begins: {text}"),
            "\"\"\"" => lines.by_ref().take_while(|line| *line != "\"\"\"").collect(),
            value => value.to_owned(),
        };
        read.insert((String::new(), name.trim().to_owned()), value);
    }
    read
}

fn values(name: &str) -> Values<'_> {
    Values::new(name, &[], "127.0.0.1", "agis")
}

/// Writes the files of a built-in game for a server of this name; `None` if the name is refused.
fn written(key: &str, name: &str, dir: &Path) -> Option<BTreeMap<String, String>> {
    let catalogue = Catalogue::built_in().expect("our own catalogue");
    let mut orders = match values(name).files(catalogue.get(key).expect("a game")) {
        Ok(orders) => orders,
        Err(HostError::Failed(why)) => {
            assert!(why.contains("rename the server"), "{why}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    orders.iter_mut().for_each(|order| order.path = dir.join(&order.path));
    files::write(&orders).expect("it is written");
    let text = |order: &FileOrder| fs::read_to_string(&order.path).expect("a file");
    let named = |order: &FileOrder| order.path.strip_prefix(dir).expect("a file").display().to_string();
    Some(orders.iter().map(|order| (named(order), text(order))).collect())
}

fn shown(name: &str) -> String {
    name.replace(['\n', '\u{85}', '\u{2028}'], " ").trim().to_owned()
}

#[test]
fn a_name_is_data_in_the_files_of_every_game() {
    let at = |group: &str, key: &str| (group.to_owned(), key.to_owned());
    let mut held = 0;
    for name in HOSTILE {
        // The game has written these before.
        let dir = tempfile::tempdir().expect("a directory");
        let before = "[network]\nmax_clients = 3\nserver_name = before\n[version]\nini_version = 2\n";
        fs::write(dir.path().join("private.cfg"), before).expect("a file");
        fs::write(dir.path().join("minetest.conf"), "# mine\nserver_name = before\nmax_users = 3").expect("a file");
        let Some(files) = written("openttd", name, dir.path()) else { continue };
        held += 1;
        let expected = Read::from([
            (at("network", "server_name"), shown(name)),
            (at("network", "server_game_type"), "local".to_owned()),
            (at("gui", "autosave_on_exit"), "true".to_owned()),
        ]);
        assert_eq!(openttd(&files["openttd.cfg"]), expected, "{name}");
        let expected = Read::from([
            (at("network", "max_clients"), "3".to_owned()),
            (at("network", "server_name"), shown(name)),
            (at("version", "ini_version"), "2".to_owned()),
        ]);
        assert_eq!(openttd(&files["private.cfg"]), expected, "{name}");

        let files = written("minetest", name, dir.path()).expect("both formats are the same");
        let expected = Read::from([
            (at("", "server_name"), shown(name)),
            (at("", "max_users"), "3".to_owned()),
            (at("", "bind_address"), "127.0.0.1".to_owned()),
        ]);
        assert_eq!(minetest(&files["minetest.conf"]), expected, "{name}");
    }
    assert_eq!(held, 6, "some names are refused");
}

#[test]
fn a_file_of_an_earlier_version_is_mended() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("minetest.conf"), "server_name = \"\"\"\nbind_address = 127.0.0.1\n").expect("a file");
    let files = written("minetest", "Good", dir.path()).expect("it is held");
    let read = minetest(&files["minetest.conf"]);
    assert_eq!(read[&(String::new(), "bind_address".to_owned())], "127.0.0.1");
}

#[test]
fn a_name_is_one_argument_of_every_game() {
    for name in HOSTILE {
        let values = values(name);
        for game in Catalogue::built_in().expect("our own catalogue").games() {
            for part in &game.process().expect("a process").arguments {
                let filled = values.fill(part);
                assert!(!part.contains("{name}") || filled == shown(name), "{}: {part}", game.key);
            }
        }
    }
}
