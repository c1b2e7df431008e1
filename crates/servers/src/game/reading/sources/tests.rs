use std::fs;

use crate::game::{Catalogue, Limits, Runs};

/// Returns a folder with these files. The first is the one that an operator names.
pub(in super::super) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Result<Catalogue, String> {
    let folder = folder(files);
    let root = folder.path().to_str().expect("text").to_owned();
    let read = Catalogue::load(&folder.path().join(files[0].0)).expect("the first file");
    read.map_err(|error| error.to_string().replace(&format!("{root}/"), ""))
}

fn said(files: &[(&str, &str)]) -> String {
    load(files).expect_err("it has mistakes")
}

fn keys(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.games().map(|game| game.key.as_str()).collect()
}

/// Returns the text of a game on line 1.
fn game(key: &str) -> String {
    format!("{key} = {{ title = '{key}', fleet = 'f', cost_per_hour = 1 }}\n")
}

#[test]
fn files_include_files_beside_them() {
    let files = [
        ("games.toml", "include = ['one.toml', 'games.d/*.toml']\n"),
        ("one.toml", &*game("one")),
        ("games.d/b.toml", &*game("b")),
        ("games.d/a.toml", &*format!("include = ['deeper/c.toml']\n{}", game("a"))),
        ("games.d/deeper/c.toml", &*game("c")),
        ("games.d/.hidden.toml", "this is no TOML"),
        ("games.d/a.toml~", "neither is this"),
    ];
    assert_eq!(keys(&load(&files).expect("a catalogue")), ["a", "b", "c", "one"]);
}

#[test]
fn mistakes_of_included_files_name_file_and_line() {
    let files = [
        ("games.toml", "include = [\n'one.toml', 'two.toml', 'none.toml', '.']\n[own]\ntitle = 1\n"),
        ("one.toml", "\n[one]\ntitle = 'One\n"),
        ("two.toml", &*game("own")),
    ];
    let said = said(&files);
    let heads: Vec<_> = said.lines().map(|line| line.trim().split(" (").next().expect("a part")).collect();
    assert_eq!(heads[0], "line 2: include: none.toml cannot be read: No such file or directory", "{said}");
    assert!(
        heads[1].starts_with("line 2: include:") && heads[1].ends_with("cannot be read: this is no file"),
        "{said}"
    );
    assert!(heads[2].starts_with("one.toml, line 3: "), "{said}");
    assert_eq!(heads[3], "two.toml, line 1: own: this game is in line 3 already", "{said}");
    let files =
        [("games.toml", "include = ['one.toml']\n"), ("one.toml", "\n[one]\ntitle = 'O'\ncost_per_hour = -1\n")];
    assert!(self::said(&files).contains("one.toml, line 4: one.cost_per_hour: must not be negative"));
}

#[test]
fn no_file_is_included_twice() {
    for (include, line) in [("['games.toml']", 1), ("['a.toml', 'b/../a.toml']", 1), ("['a.toml', 'b/b.toml']", 1)] {
        let files = [
            ("games.toml", &*format!("include = {include}\n")),
            ("a.toml", &*game("a")),
            ("b/b.toml", "include = ['../a.toml']\n"),
        ];
        let said = said(&files);
        assert!(said.contains(&format!("line {line}: include: ")) && said.contains("included already"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn included_files_are_bounded() {
    let names: Vec<_> = (0..150).map(|number| format!("games.d/{number:03}.toml")).collect();
    let mut files = vec![("games.toml", "include = ['games.d/*.toml']\n")];
    files.extend(names.iter().map(|name| (name.as_str(), "")));
    assert!(said(&files).contains("more than 100 files"));
    let large = " ".repeat(1 << 20) + "\n";
    let said = said(&[("games.toml", "include = ['large.toml']"), ("large.toml", &large)]);
    assert!(said.contains("larger than 1 MiB"), "{said}");
}

#[test]
fn directives_in_the_wrong_form_or_place_are_told() {
    for (text, says) in [
        ("include = 'more.toml'", "line 1: include: must be a list of paths"),
        ("include = [1]", "line 1: include: must be a list of paths"),
        ("[include]", "line 1: include: must be a list of paths"),
        ("extend = 'builtin'", "line 1: extend: must be \"built-in\""),
        ("extend = true", "line 1: extend: must be \"built-in\""),
    ] {
        let said = said(&[("games.toml", text)]);
        assert!(said.starts_with(says), "{said}");
    }
    let said = said(&[("games.toml", "include = ['a.toml']"), ("a.toml", "\nextend = 'built-in'")]);
    assert_eq!(said, "a.toml, line 2: extend: must stand in the first file, not in an included one");
    let error = Catalogue::parse("include = ['more.toml']").expect_err("a text has no folder");
    assert_eq!(error.to_string(), "line 1: include: must not be there: this catalogue is no file");
}

#[test]
fn built_in_games_are_extended_field_by_field() {
    let own =
        "extend = 'built-in'\n[bzflag]\ncost_per_hour = 7\nlimits.memory = '300MiB'\n[openttd]\nenabled = false\n";
    let catalogue = load(&[(
        "games.toml",
        &(own.to_owned() + &format!("[own]\n{}", "title = 'Own'\nfleet = 'f'\ncost_per_hour = 1")),
    )]);
    let catalogue = catalogue.expect("a catalogue");
    let built_in = Catalogue::built_in().expect("a catalogue");
    let [ours, theirs] = [&catalogue, &built_in].map(|it| it.get("bzflag").expect("the game").as_ref().clone());
    assert_eq!((ours.cost_per_hour, &ours.title, &ours.stop), (7, &theirs.title, &theirs.stop));
    let (Runs::Process(our), Runs::Process(their)) = (ours.runs, theirs.runs) else { panic!("processes") };
    assert_eq!(ours.limits.memory.map(|memory| memory.bytes()), Some(300 << 20));
    assert_eq!((ours.ports, our.arguments), (theirs.ports, their.arguments));
    assert!(catalogue.get("openttd").is_none() && catalogue.get("own").is_some());
    assert_eq!(keys(&catalogue).len(), keys(&built_in).len());
}

#[test]
fn limits_of_built_in_games_are_cut_to_the_maximum() {
    let max: Limits = "{ memory = '1MiB' }".parse().expect("limits");
    let within = |text: &str| {
        let catalogue = load(&[("games.toml", &format!("extend = 'built-in'\n{text}"))]).expect("a catalogue");
        catalogue.within(Limits::default(), max)
    };
    let catalogue = within("").expect("a catalogue");
    assert!(catalogue.games().all(|game| game.limits.memory == max.memory));
    let beyond = within("[openttd]\nlimits.memory = '2MiB'").expect_err("a limit of the operator's own");
    assert_eq!(beyond, ["openttd.limits.memory: 2 MiB is above the maximum of this installation, 1 MiB"]);
}

#[test]
fn replaced_settings_leave_a_built_in_game() {
    let games = |text: &str| [("games.toml", format!("extend = 'built-in'\n[minetest]\n{text}"))];
    let fixed = "files.'minetest.conf'.set.max_users = 5\n";
    let [(name, text)] = games(fixed);
    let catalogue = load(&[(name, &text)]).expect("a catalogue");
    let game = catalogue.get("minetest").expect("the game");
    assert!(game.setting("max-users").is_none() && game.setting("motd").is_some());
    let [(name, text)] = games(&(fixed.to_owned() + "settings.max-users.default = 7"));
    let said = said(&[(name, &text)]);
    assert!(said.starts_with("line 4: minetest.settings.max-users: has no effect"), "{said}");
}

#[test]
fn mistakes_of_an_extension_name_its_lines() {
    let files = [
        (
            "games.toml",
            "extend = 'built-in'\ninclude = ['more.toml']\n[bzflag]\ncost_per_hour = -1\n[vallheim]\nenabled = false\n",
        ),
        ("more.toml", "[demo]\nport = 0\n"),
    ];
    let said = said(&files);
    assert!(said.starts_with("line 5: vallheim: no game of this name comes with AGIS"), "{said}");
    let files = [(files[0].0, &*files[0].1.replace("[vallheim]\nenabled = false", "")), files[1]];
    let said = self::said(&files);
    let lines: Vec<_> = said.lines().map(str::trim).collect();
    assert_eq!(lines[0], "line 4: bzflag.cost_per_hour: must not be negative");
    assert!(lines[1].starts_with("more.toml, line 2: demo.port: must be"), "{said}");
}
