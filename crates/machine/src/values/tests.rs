use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use agis_base::UserId;
use agis_servers::game::{Catalogue, Format};
use serde_json::Value;

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

/// Returns the start of a server of this name.
fn launch(game: &Arc<Game>, name: &str, settings: SettingValues) -> Launch {
    Launch {
        game: Arc::clone(game),
        server_name: name.to_owned(),
        owner: UserId::from_stored("1"),
        settings,
        rcon_password: Default::default(),
    }
}

fn defaults(game: &Game) -> SettingValues {
    game.setting_values(&SettingValues::new()).expect("a default of each setting")
}

fn values(launch: &Launch) -> Values<'_> {
    Values::new(launch, &[], "127.0.0.1", "agis")
}

/// Writes the files of a built-in game for a server of this name; `None` if the name is refused.
fn written(key: &str, name: &str, dir: &Path) -> Option<BTreeMap<String, String>> {
    let catalogue = Catalogue::built_in().expect("our own catalogue");
    let game = catalogue.get(key).expect("a game");
    let launch = launch(game, name, defaults(game));
    let mut orders = match values(&launch).files(game) {
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

/// Asserts that a file has these values, and no keys but those that the catalogue sets.
fn assert_set(key: &str, path: &str, read: &Read, expected: &Read) {
    let catalogue = Catalogue::built_in().expect("our own catalogue");
    assert_eq!(read.len(), catalogue.get(key).expect("a game").files[path].set.len(), "{read:?}");
    for (at, value) in expected {
        assert_eq!(read.get(at), Some(value), "{at:?}");
    }
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
        assert_set("openttd", "openttd.cfg", &openttd(&files["openttd.cfg"]), &expected);
        let expected = Read::from([
            (at("network", "max_clients"), "3".to_owned()),
            (at("network", "server_name"), shown(name)),
            (at("version", "ini_version"), "2".to_owned()),
        ]);
        assert_eq!(openttd(&files["private.cfg"]), expected, "{name}");

        let files = written("minetest", name, dir.path()).expect("both formats are the same");
        let expected = Read::from([
            (at("", "server_name"), shown(name)),
            (at("", "max_users"), "15".to_owned()),
            (at("", "bind_address"), "127.0.0.1".to_owned()),
        ]);
        assert_set("minetest", "minetest.conf", &minetest(&files["minetest.conf"]), &expected);
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
        let catalogue = Catalogue::built_in().expect("our own catalogue");
        for game in catalogue.games().filter(|game| game.process().is_some()) {
            let launch = launch(game, name, defaults(game));
            let values = values(&launch);
            for part in game.process().into_iter().flat_map(|process| &process.arguments) {
                let filled = values.fill(part);
                assert!(!part.contains("{name}") || filled == shown(name), "{}: {part}", game.key);
            }
        }
    }
}

/// A game with a setting of each kind in files of each format.
const SETTLED: &str = r#"
[g]
title = "G"
command = ["g", "--motd={settings.motd}"]
port = 1
cost_per_hour = 0
ready = { when = "port" }
env = { MOTD = "{settings.motd} {port}", PLAIN = "{ settings.motd }" }
[g.settings]
motd = { type = "text", title = "Message", default = "Hi" }
slots = { type = "int", title = "Slots", default = 8, min = 1, max = 64 }
pace = { type = "float", title = "Pace", default = 1.5 }
pvp = { type = "bool", title = "PvP", default = false }
mode = { type = "choice", title = "Mode", default = "a b", choices = ["a b", { value = "2", title = "Two" }] }
[g.files]
"a.properties" = "motd={settings.motd}\nslots={settings.slots}"
"a.json" = '{ "motd": "{settings.motd}", "slots": {settings.slots}, "pvp": {settings.pvp}, "mode": "{settings.mode}" }'
"a.yaml" = "motd: \"{settings.motd}\"\npace: {settings.pace}"
"a.toml" = "motd = \"{settings.motd}\"\nslots = {settings.slots}"
"a.xml" = "<a motd='{settings.motd}'>{settings.mode}</a>"
"a.txt" = "slots {settings.slots} mode {settings.mode}"
"set.json" = { set = { motd = "{settings.motd}", slots = "{settings.slots}", pvp = "{settings.pvp}", as = "{settings.slots}x" } }
"#;

#[test]
fn a_setting_is_data_in_every_format() {
    let catalogue = Catalogue::parse(SETTLED).expect("a catalogue");
    let game = catalogue.get("g").expect("the game");
    for motd in HOSTILE.iter().copied().filter(|motd| !motd.contains('\n')).chain([
        "</a>'\"",
        "{port}{settings.slots}",
        "a\u{7}",
    ]) {
        let mut settings = defaults(game);
        settings.insert("motd".to_owned(), Value::from(motd).into());
        let launch = launch(game, "x", settings);
        let files: BTreeMap<_, _> = values(&launch)
            .files(game)
            .expect("every format but INI holds it")
            .into_iter()
            .map(|file| (file.path.display().to_string(), file))
            .collect();
        let text = |path: &str| files[path].text.as_str();
        for (path, format, expected) in [
            ("a.json", Format::Json, serde_json::json!({ "motd": motd, "slots": 8, "pvp": false, "mode": "a b" })),
            ("a.yaml", Format::Yaml, serde_json::json!({ "motd": motd, "pace": 1.5 })),
            ("a.toml", Format::Toml, serde_json::json!({ "motd": motd, "slots": 8 })),
        ] {
            assert_eq!(format.read(text(path)), Ok(expected), "{motd}");
        }
        assert_eq!(text("a.properties").lines().count(), 2, "{motd}");
        assert_eq!(text("a.xml").matches(['<', '\'']).count(), 4, "{motd}");
        assert_eq!(text("a.txt"), "slots 8 mode a b");
        let set: BTreeMap<_, _> = files["set.json"].set.iter().map(|set| (set.path[0].as_str(), &set.value)).collect();
        let expected = [("as", "8x".into()), ("motd", motd.into()), ("pvp", false.into()), ("slots", 8.into())];
        assert_eq!(set, expected.iter().map(|(key, value): &(&str, Value)| (*key, value)).collect(), "{motd}");
        assert_eq!(values(&launch).fill("--motd={settings.motd}"), format!("--motd={motd}"));
    }
}

#[test]
fn a_setting_that_ini_cannot_hold_is_named() {
    let text = SETTLED.replace("a.properties", "a.ini");
    let catalogue = Catalogue::parse(&text).expect("a catalogue");
    let game = catalogue.get("g").expect("the game");
    let mut settings = defaults(game);
    settings.insert("motd".to_owned(), Value::from("\"\"\"hunter2").into());
    let launch = launch(game, "x", settings);
    let Err(HostError::Failed(why)) = values(&launch).files(game) else { panic!("some readers misread it") };
    assert!(why.starts_with("the setting 'motd' cannot be written into a.ini, since it begins with"), "{why}");
    assert!(why.ends_with("change the setting, and try again") && !why.contains("hunter2"), "{why}");
    assert!(!format!("{launch:?}").contains("hunter2"), "{launch:?}");
}
