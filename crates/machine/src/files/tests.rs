use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use super::*;

fn settings(values: &[(&[&str], Value)]) -> Vec<Setting> {
    let owned = |path: &[&str]| path.iter().map(|name| (*name).to_owned()).collect();
    values.iter().map(|(path, value)| Setting { path: owned(path), value: value.clone() }).collect()
}

fn set(format: Format, text: &str, values: &[(&[&str], Value)]) -> Result<String, String> {
    edit::set(format, text, &settings(values)).map_err(|error| error.to_string())
}

/// Checks the text after one key was set, and that setting the key again changes nothing.
fn check(format: Format, path: &[&str], value: &Value, cases: &[(&str, &str)]) {
    for (before, after) in cases {
        let values = [(path, value.clone())];
        let changed = set(format, before, &values).expect("it can be set");
        assert_eq!(changed, *after, "{format:?}: {before}");
        assert_eq!(set(format, &changed, &values), Ok(changed), "{format:?}: set again");
    }
}

#[test]
fn ini_keeps_what_is_not_set() {
    let (path, value) = (["net", "port"], json!(7));
    check(
        Format::Ini,
        &path,
        &value,
        &[
            ("", "[net]\nport = 7\n"),
            (
                "; mine\nport = 1\n[net] ; here\nport=1\n\n[gui]\nport = 2\n",
                "; mine\nport = 1\n[net] ; here\nport=7\n\n[gui]\nport = 2\n",
            ),
            ("[net]\nname = a = b\n\n[gui]\n", "[net]\nname = a = b\nport = 7\n\n[gui]\n"),
            ("[gui]\r\nx=1\r\n", "[gui]\r\nx=1\r\n\r\n[net]\r\nport=7\r\n"),
            ("[net]\n;port = 1\n  port\t=\t1\nport = 2\n", "[net]\n;port = 1\n  port\t=\t7\n"),
            ("\u{feff}[net]\nport = 1", "\u{feff}[net]\nport = 7\n"),
        ],
    );
    check(Format::Ini, &["port"], &value, &[("a = 1\n\n[net]\nport = 1\n", "a = 1\nport = 7\n\n[net]\nport = 1\n")]);
    check(
        Format::Ini,
        &["/Script/Pal.Game", "On"],
        &json!(true),
        &[("[/Script/Pal.Game]\nOn=False\n", "[/Script/Pal.Game]\nOn=true\n")],
    );
}

#[test]
fn properties_keep_what_is_not_set() {
    check(
        Format::Properties,
        &["server-port"],
        &json!(7),
        &[
            ("", "server-port=7\n"),
            (
                "#Minecraft\n#server-port=1\nmotd=a\\: b\nserver-port=1\n",
                "#Minecraft\n#server-port=1\nmotd=a\\: b\nserver-port=7\n",
            ),
            ("server-port : 1\nserver-port=2\n", "server-port : 7\n"),
            ("server-port 1\nx=1", "server-port=7\nx=1\n"),
            ("server-port\n", "server-port=7\n"),
            ("motd=a\\\nserver-port=1\n", "motd=a\\\nserver-port=1\nserver-port=7\n"),
            ("server-port=\\\n  1\nx=\n", "server-port=7\nx=\n"),
        ],
    );
    check(
        Format::Properties,
        &["a b:c"],
        &json!("ü\\"),
        &[("", "a\\ b\\:c=\\u00fc\\\\\n"), ("a\\ b\\:c = 1\n", "a\\ b\\:c = \\u00fc\\\\\n")],
    );
}

#[test]
fn json_keeps_what_is_not_set() {
    check(
        Format::Json,
        &["net", "port"],
        &json!(7),
        &[
            ("", "{\n  \"net\": {\n    \"port\": 7\n  }\n}\n"),
            ("{}", "{\"net\": {\"port\":7}}"),
            (
                "{\n  \"z\": 1.10,\n  \"net\": { \"port\" : \"a}\\\"\" , \"a\": [1, {}] }\n}\n",
                "{\n  \"z\": 1.10,\n  \"net\": { \"port\" : 7 , \"a\": [1, {}] }\n}\n",
            ),
            (
                "{\n  \"z\": 1,\n  \"net\": {\n    \"a\": 1\n  }\n}",
                "{\n  \"z\": 1,\n  \"net\": {\n    \"port\": 7,\n    \"a\": 1\n  }\n}",
            ),
            ("{\"net\":{\"port\":1}}", "{\"net\":{\"port\":7}}"),
        ],
    );
    for (text, says) in [
        ("{ \"net\": ", "is no valid JSON any more"),
        ("[]", "the key 'net.port' cannot be set"),
        ("{\"net\": 1}", "the key 'net.port' cannot be set"),
        ("{\"net\": {\"port\": {}}}", "the key 'net.port' cannot be set"),
    ] {
        let error = set(Format::Json, text, &[(&["net", "port"], json!(7))]).expect_err("it is broken");
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn yaml_keeps_what_is_not_set() {
    check(
        Format::Yaml,
        &["port"],
        &json!(7),
        &[
            ("", "port: 7\n"),
            ("# mine\n", "# mine\nport: 7\n"),
            ("a:\n  port: 1\nport: 1 # here\nb: [x]\n", "a:\n  port: 1\nport: 7 # here\nb: [x]\n"),
            ("port: \"a # b\" # c\n", "port: 7 # c\n"),
            ("'port': 1\r\nb: 2", "port: 7\r\nb: 2"),
            ("port:\nb: |\n  port: 2", "port: 7\nb: |\n  port: 2"),
            ("b: 1", "b: 1\nport: 7\n"),
        ],
    );
    check(Format::Yaml, &["name"], &json!("a: \"b\" #c"), &[("name: x\n", "name: \"a: \\\"b\\\" #c\"\n")]);
    for (text, says) in [
        ("a: [", "is no valid YAML any more"),
        ("- 1\n", "cannot be set"),
        ("port:\n  a: 1\n", "cannot be set"),
        ("port: 1\n  2\n", "cannot be set"),
        ("{ a: 1 }\n", "cannot be set"),
    ] {
        let error = set(Format::Yaml, text, &[(&["port"], json!(7))]).expect_err("it is broken");
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn toml_keeps_what_is_not_set() {
    check(
        Format::Toml,
        &["net", "port"],
        &json!(7),
        &[
            ("", "[net]\nport = 7\n"),
            (
                "# mine\nz = 1 # z\n[net]\nport = 1 # here\na = 2\n",
                "# mine\nz = 1 # z\n[net]\nport = 7 # here\na = 2\n",
            ),
            ("net = { a = 1, port = 2 }\n", "net = { a = 1, port = 7 }\n"),
            ("net.port = 1\n", "net.port = 7\n"),
        ],
    );
    check(Format::Toml, &["name"], &json!("'''\"\\"), &[("name = 1\n", "name = \"'''\\\"\\\\\"\n")]);
    for (text, says) in
        [("net = ", "is no valid TOML any more"), ("net = 1", "cannot be set"), ("net.port = [1]", "cannot be set")]
    {
        let error = set(Format::Toml, text, &[(&["net", "port"], json!(7))]).expect_err("it is broken");
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn binary_data_is_told() {
    let error = set(Format::Ini, "a\0b", &[(&["a"], json!(1))]).expect_err("it is binary");
    assert!(error.contains("binary data"), "{error}");
}

fn order(path: &Path, kind: Kind, text: &str, set: &[(&[&str], Value)]) -> FileOrder {
    FileOrder { path: path.to_owned(), text: text.to_owned(), format: Format::Ini, kind, set: settings(set) }
}

#[test]
fn only_managed_files_are_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    for (kind, again) in [(Kind::Managed, "new"), (Kind::Initial, "old")] {
        let path = dir.path().join(format!("{again}/file"));
        for text in ["old", "new"] {
            write(&[order(&path, kind, text, &[])]).expect("it is written");
        }
        assert_eq!(fs::read_to_string(&path).expect("a file"), again);
    }
    let path = dir.path().join("set");
    write(&[order(&path, Kind::Managed, "b = 1", &[(&["a"], json!(1))])]).expect("it is written");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("permissions");
    write(&[order(&path, Kind::Managed, "c = 1", &[(&["a"], json!(2))])]).expect("it is written");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "b = 1\na = 2\n");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 3, "no draft is left");
}

#[test]
fn a_file_that_is_none_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("dir")).expect("a directory");
    fs::write(path("other"), "secret").expect("a file");
    symlink(path("other"), path("link")).expect("a link");
    symlink(path("nowhere"), path("dangling")).expect("a link");
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    fs::write(path("latin"), b"a = \xe9").expect("a file");
    fs::File::create(path("large")).and_then(|file| file.set_len(FILE_BYTES + 1)).expect("a file");
    for (name, says) in [
        ("dir", "dir: is a directory where AGIS writes a file at every start; remove it, and start again"),
        ("link", "link: is a link"),
        ("dangling", "dangling: is a link"),
        ("fifo", "fifo: is no regular file"),
        ("latin", "latin: is not UTF-8 text any more"),
        ("large", "large: is larger than 4 MiB"),
        ("other/below", "other cannot be made: "),
    ] {
        let error = write(&[order(&path(name), Kind::Managed, "", &[(&["a"], json!(1))])]).expect_err("it is refused");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
    assert_eq!(fs::read_to_string(path("other")).expect("a file"), "secret");
}
