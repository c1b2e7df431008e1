use std::fs;

use super::{sources::tests::folder, *};
use crate::game::{Catalogue, Container, ContainerUser, Mount, Protocol, RunsOn};

/// Returns the mistakes of a text, one per line.
fn said(text: &str) -> String {
    let error = Catalogue::parse(text).expect_err("it has mistakes");
    error.0.iter().map(|mistake| format!("{mistake}\n")).collect()
}

/// A game that runs as a container, by these lines.
fn container(lines: &str) -> String {
    let text = "[g]\ntitle = 'G'\nport = 7\ncost_per_hour = 0\nready.when = 'health'\n[g.container]\n";
    text.to_owned() + lines
}

#[test]
fn mistakes_of_a_setting_hide_no_others() {
    let lines = "settings.a = { type = 'number', title = 'A' }\n\
         settings.b = { type = 'int', title = '', help = 'x\\ty', min = 'low', choices = ['x'] }\n\
         settings.c = { type = 'int', title = ' C', min = 3, max = 1, choices = ['x'], default = 2 }\n\
         settings.d = { type = 'text', title = 'D' }\n\
         env.A = '{settings.a} {settings.b} {settings.c} {settings.d}'\nenv.B = '{settings.e}'";
    let text = format!("[g]\ntitle = 'G'\ncommand = ['g']\nport = 7\ncost_per_hour = 0\nready.when = 'port'\n{lines}");
    let said = said(&text);
    let begins = [
        "line 7: g.settings.a.type: must be `text`, `int`",
        "line 8: g.settings.b.min: must be a number",
        "line 9: g.settings.c.title: must be a text of 1 to 45",
        "line 9: g.settings.c.choices: must be there with the type `choice` only",
        "line 9: g.settings.c.max: must not be below `min`",
        "line 12: g.env.B: `{settings.e}` is no setting of this game",
    ];
    assert_eq!(said.lines().count(), begins.len(), "{said}");
    for begin in begins {
        assert!(said.lines().any(|line| line.starts_with(begin)), "{begin}: {said}");
    }
}

#[test]
fn container_is_read_with_its_defaults() {
    let read = |lines: &str| Catalogue::parse(&container(lines)).expect("a catalogue").get("g").expect("it").clone();
    let plain = read("image = 'a/b:1'\nworld = '/data'");
    let expected = Container {
        image: "a/b:1".to_owned(),
        entrypoint: vec![],
        command: vec![],
        user: None,
        mounts: vec![Mount { folder: String::new(), path: "/data".to_owned() }],
        capabilities: vec![],
        is_read_only: true,
        temporary: vec!["/tmp".to_owned()],
        has_public_ports: false,
    };
    assert_eq!(plain.container(), Some(&expected));
    assert!(plain.runs_on(RunsOn::Container) && !plain.runs_on(RunsOn::Process));
    let full = read(
        "image = 'a:1'\nworld = { save = '/s', mods = '/m' }\nuser = '7:8'\nread_only = false\ntmp = []\n\
         public_ports = true\ncapabilities = ['SYS_NICE']\nenv = { A = '{port}' }\ncommand = ['x']",
    );
    let mount = |folder: &str, path: &str| Mount { folder: folder.to_owned(), path: path.to_owned() };
    let expected = Container {
        image: "a:1".to_owned(),
        entrypoint: vec![],
        command: vec!["x".to_owned()],
        user: Some(ContainerUser { uid: 7, gid: 8 }),
        mounts: vec![mount("mods", "/m"), mount("save", "/s")],
        capabilities: vec!["SYS_NICE".to_owned()],
        is_read_only: false,
        temporary: vec![],
        has_public_ports: true,
    };
    assert_eq!((full.container(), full.env["A"].as_str()), (Some(&expected), "{port}"));
}

#[test]
fn each_rule_of_a_container_names_its_field() {
    for (lines, field, says) in [
        ("command = ['x']", "g.container.image: is missing", ""),
        ("image = 'a'", "g.container.image", "with a tag or a digest"),
        ("image = 'a:1'\nuser = 'root'", "g.container.user", "1000:1000"),
        ("image = 'a:1'\nworld = 'data'", "g.container.world", "absolute"),
        ("image = 'a:1'\nworld = 5", "g.container.world: must be an absolute path", ""),
        ("image = 'a:1'\nworld = { '../x' = '/x' }", "g.container.world.\"../x\"", "name of a folder"),
        ("image = 'a:1'\nworld = { a = '/x', b = '/x/y' }", "g.container.world.b", "in, or above, `/x`"),
        ("image = 'a:1'\nworld = '/x'\ntmp = ['/x']", "g.container.tmp.0", "in, or above, `/x`"),
        ("image = 'a:1'\ntmp = ['/proc']", "g.container.tmp.0", "/proc"),
        ("image = 'a:1'\ncapabilities = ['SYS_ADMIN']", "g.container.capabilities.0", "one of CHOWN"),
        ("image = 'a:1'\nenv = { 'A=' = '' }", "g.container.env.\"A=\"", "without `=`"),
        ("image = 'a:1'\nenv = { A = '{port.x}' }", "g.container.env.A", "no port"),
        ("image = 'a:1'\nenv = { A = '{world}' }", "g.container.env.A", "not a placeholder"),
        ("image = 'a:1'\nentrypoint = ['{agis}']", "g.container.entrypoint.0", "does not have"),
        ("image = 'a:1'\ncommand = [\"\\u0000\"]", "g.container.command.0", "NUL"),
        ("image = 'a:1'\nprivileged = true", "g.container.privileged: unknown field", ""),
        ("image = 'a:1'\n[g.env]\nA = 'b'", "g.env", "`container.env`"),
    ] {
        let said = said(&container(lines));
        assert!(said.contains(&format!(": {field}")) && said.contains(says), "{lines}: {said}");
        assert_eq!(said.lines().count(), 1, "{lines}: {said}");
    }
}

/// Returns the mistakes of a process game with these lines in place of, or beside, the usual ones. The first is line 1.
fn said_of(lines: &str) -> String {
    let usual = [
        ("title", "title = 'G'"),
        ("command", "command = ['g']"),
        ("port", "port = 1"),
        ("cost_per_hour", "cost_per_hour = 0"),
        ("ready", "ready = { when = 'port' }"),
    ];
    let has = |field: &str| lines.lines().any(|line| line.split([' ', '.']).next() == Some(field));
    let rest: String = usual
        .iter()
        .filter(|(field, _)| !(has(field) || *field == "port" && has("ports")))
        .map(|(_, line)| format!("g.{line}\n"))
        .collect();
    let lines: String = lines.lines().map(|line| format!("g.{line}\n")).collect();
    said(&(lines + &rest))
}

#[test]
fn the_built_in_catalogue_has_no_mistake() {
    assert!(Catalogue::built_in().expect("a catalogue").games().count() >= 4);
}

#[test]
fn all_catalogue_mistakes_are_told_together() {
    let text = r#"# two games
[one]
title = "One"
command = ["one", "a\u0000b"]
cost_per_hour = -1
ready = { when = "never" }
port = 70000
prot = 5

[two]
fleet = "f"
gameserver = "spec: {}"
good_exits = [0, 256]
stop = { how = { console = "^C" } }
[two.env]
"A=B" = "c"
[two.files]
"a" = "file"
"a/b" = "in a file"
"../c" = "outside"
"#;
    let said = said(text);
    let heads: Vec<_> = said.lines().map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    let expected = [
        "line 4: one.command.1",
        "line 5: one.cost_per_hour",
        "line 6: one.ready.when",
        "line 7: one.port",
        "line 8: one.prot",
        "line 10: two.title",
        "line 10: two.cost_per_hour",
        "line 11: two.fleet",
        "line 13: two.good_exits",
        "line 14: two.stop.how.console",
        "line 16: two.env.\"A=B\"",
        "line 19: two.files.\"a/b\"",
        "line 20: two.files.\"../c\"",
    ];
    assert_eq!(heads, expected, "{said}");
}

#[test]
fn broken_toml_is_told_by_its_lines() {
    let said = said("[one]\ntitle = One\n[two\n");
    assert!(said.starts_with("line 2: ") && said.contains("line 3: "), "{said}");
    assert!(super::read("\u{feff}").is_ok_and(|games| games.is_empty()), "a byte order mark is none");
}

#[test]
fn each_rule_names_its_field() {
    let nul = "\\u0000";
    for (lines, field, says) in [
        ("title = ''", "g.title", "1 to 100 characters"),
        ("title = \"a\\nb\"", "g.title", "one line"),
        ("command = []", "g.command", "must be there"),
        ("command = ['']", "g.command.0", "name a program"),
        (&format!("command = ['g', \"{nul}\"]"), "g.command.1", "NUL"),
        ("port = 0", "g.port", "1 to 65535"),
        ("port = 65536", "g.port", "1 to 65535"),
        ("port = '7'", "g.port", "1 to 65535"),
        ("cost_per_hour = -1", "g.cost_per_hour", "negative"),
        ("cost_per_hour = 9000000000", "g.cost_per_hour", "2147483647"),
        ("world = { size = '1Gi', mount = '/d' }", "g.world", "without a `gameserver`"),
        ("ready = { when = 'pod' }", "g.ready.when", "`port`"),
        ("ready = { when = { log = '' } }", "g.ready.when.log", "empty"),
        ("ready = { when = { log = \"a\\nb\" } }", "g.ready.when.log", "one line"),
        ("ready = { when = 'port', within_s = 0 }", "g.ready.within_s", "at least 1"),
        ("ready = { when = { delay = 5 }, within_s = 5 }", "g.ready.when.delay", "shorter"),
        ("stop = { how = { signal = 'SIGKILL' } }", "g.stop.how: must be `{ signal = \"SIGTERM\" }`", "SIGKILL"),
        (
            "stop = { how = { console = 'q' }, grace_s = '5' }",
            "g.stop.grace_s: must be a whole number of seconds",
            "string",
        ),
        ("stop.grace_s = '5'\nstop.how = { console = 'q' }", "g.stop.grace_s: must be a whole", "string"),
        ("stop = { how = { console = 'q' }, grace = 5 }", "g.stop.grace: unknown field", "`grace_s`"),
        ("ready = { when = 'open' }", "g.ready.when: must be `port`", "open"),
        ("ready = { when = { log = 5 } }", "g.ready.when: must be `port`", "integer"),
        ("ready = { when = 'port', within_s = -1 }", "g.ready.within_s: must be a whole number", "at least 1"),
        ("stop = { how = { console = '' } }", "g.stop.how.console", "1 to 1000"),
        ("stop = { how = { console = ' ' } }", "g.stop.how.console", "1 to 1000"),
        ("stop = { how = { console = '^C' } }", "g.stop.how.console", "SIGINT"),
        ("stop = { how = { console = '^^C' } }", "g.stop.how.console", "SIGINT"),
        ("stop = { how = { console = \"\\u0003\" } }", "g.stop.how.console", "1 to 1000"),
        ("stop = { how = { console = \"save\\nquit\" } }", "g.stop.how.console", "1 to 1000"),
        ("good_exits = [-1]", "g.good_exits", "0 to 255"),
        ("good_exits = 0", "g.good_exits", "a list"),
        ("console = { pty = 'yes' }", "g.console.pty: must be `true` or `false`", "string"),
        ("console = { tty = true }", "g.console.tty: unknown field", "`pty`"),
        ("limits = { memory = '4 apples' }", "g.limits.memory: must be a size", "'4 apples' is no size"),
        ("limits = { memory = 4 }", "g.limits.memory: must be a size", "integer"),
        ("limits = { cpu = 'two' }", "g.limits.cpu: must be a number", "string"),
        ("limits = { pids = 0 }", "g.limits.pids: must be a whole number", "at least 1"),
        ("limits = { console = '1MiB' }", "g.limits.console: must be a rate", "is no rate"),
        ("limits = { ram = '4GiB' }", "g.limits.ram: unknown field", "`memory`"),
        ("env = { 'A=B' = 'c' }", "g.env.\"A=B\"", "without `=`"),
        ("env = { '' = 'c' }", "g.env.\"\"", "name of an environment variable"),
        (&format!("env = {{ A = \"{nul}\" }}"), "g.env.A", "NUL"),
        ("env = { A = 1 }", "g.env.A: must be a text", "integer"),
        ("env = { A = '', 'B.C' = 1 }", "g.env.\"B.C\": must be a text", "integer"),
        ("env = 1", "g.env: must be a table", "integer"),
        ("files = { a = ['x'] }", "g.files.a: must be a text", "sequence"),
        ("title = \"\\u200b\"", "g.title", "U+200B"),
        ("title = \"Gam\\u200be\"", "g.title", "U+200B"),
        ("title = '\u{2800}'", "g.title", "can be seen"),
        (
            "command = ['g', '--port={prot}']",
            "g.command.1: `{prot}` is not a placeholder",
            "`{name}`, `{port}`, `{bind}`, `{agis}`",
        ),
        ("files = { './a' = '', 'a' = '' }", "g.files.", "they are the same"),
        ("files = { './' = '' }", "g.files.\"./\"", "inside the server's directory"),
        ("files = { 'a' = '', 'a/b' = '' }", "g.files.\"a/b\"", "beside \"a\""),
        ("files = { 'a/b' = '', 'a/b/c/d' = '', 'a-' = '' }", "g.files.\"a/b/c/d\"", "beside \"a/b\""),
        ("files = { 'a/b' = '', 'a//b' = '' }", "g.files.", "they are the same"),
        ("files = { 'a/.//b/c' = '', 'a/b' = '' }", "g.files.\"a/b\"", "beside"),
        ("files = { '/a' = '' }", "g.files.\"/a\"", "inside the server's directory"),
        ("files = { 'a/' = '' }", "g.files.\"a/\"", "inside the server's directory"),
        ("files = { '.' = '' }", "g.files.\".\"", "inside the server's directory"),
        ("ports = [{ name = 'a', port = 7 }]\nport = 7", "g.ports", "beside `port`"),
        ("ports = []", "g.ports", "1 to 16 ports"),
        ("ports = [{ name = 'a', offset = 1 }]", "g.ports.0", "a `port` and no `offset`"),
        ("ports = [{ name = 'A', port = 1 }]", "g.ports.0", "small letters"),
        ("ports = [{ name = 'a', port = 0 }]", "g.ports.0", "1 to 65535"),
        ("ports = [{ name = 'a', port = 1 }, { name = 'a', offset = 1 }]", "g.ports.1", "name of another"),
        ("ports = [{ name = 'a', port = 1 }, { name = 'b' }]", "g.ports.1", "one of them"),
        ("ports = [{ name = 'a', port = 65535 }, { name = 'b', offset = 1 }]", "g.ports.1", "1 to 65535"),
        ("ports = [{ name = 'a', port = 1 }, { name = 'b', offset = 0 }]", "g.ports.1", "same protocol"),
        ("ports = [{ name = 'a' , port = '1' }]", "g.ports: must be a list", "string"),
        ("ports = [{ port = 1 }]", "g.ports.name", "is missing"),
        ("command = ['g', '{port.query}']", "g.command.1: `{port.query}` names no port of this game", "game"),
        ("files = { a = '{port.query}' }", "g.files.a: `{port.query}` names no port", "game"),
        (
            "files = { 'a.ini' = { set = { b = '{port.c}' } } }",
            "g.files.\"a.ini\".set.b: `{port.c}` names no port",
            "game",
        ),
        ("files = { a = {} }", "g.files.a", "a `text` or a `set`"),
        ("files = { a = { text = 1 } }", "g.files.a.text: must be a text", "integer"),
        ("files = { a = { text = '', format = 'lua' } }", "g.files.a.format: must be `ini`", "lua"),
        ("files = { a = { text = '', kind = 'once' } }", "g.files.a.kind: must be `managed` or `initial`", "once"),
        ("files = { a = { text = '', mode = 1 } }", "g.files.a.mode: unknown field", "`set`"),
        ("files = { a = 'say {name}' }", "g.files.a: `{name}` must not stand in plain text", "`command`"),
        ("files = { 'a.json' = '{ \"a\": {name} }' }", "g.files.\"a.json\": `{name}` must stand in a text", "quotes"),
        ("files = { 'a.ini' = '{name} = 1' }", "g.files.\"a.ini\": `{name}` must end a line", "quotes"),
        ("files = { a = { set = { b = 1 } } }", "g.files.a.set", "needs a `format`"),
        (
            "files = { 'a.ini' = { kind = 'initial', set = { b = 1 } } }",
            "g.files.\"a.ini\".set",
            "`kind = \"initial\"`",
        ),
        ("files = { 'a.yml' = { set = { b = { c = 1 } } } }", "g.files.\"a.yml\".set.b.c", "at its top"),
        ("files = { 'a.ini' = { set = { b.c.d = 1 } } }", "g.files.\"a.ini\".set.b.c.d", "in its sections"),
        ("files = { 'a.ini' = { set = { 'b=c' = 1 } } }", "g.files.\"a.ini\".set.\"b=c\"", "no name of a key"),
        ("files = { 'a.ini' = { set = { b = '({name})' } } }", "g.files.\"a.ini\".set.b: `{name}` must end", "quotes"),
        ("files = { 'a.json' = { set = { b = [1] } } }", "g.files.\"a.json\".set.b", "a text, a number"),
        ("query = 'gamespy'", "g.query: must be `a2s`", "gamespy"),
        ("query = 'agones'", "g.query: must be another one: `agones` counts", "agones"),
        ("query = { kind = 'agones', port = 'game' }", "g.query", "needs no `port`"),
        ("query = { kind = 'a2s', port = 'query' }", "g.query.port: must be the name of a port", "game"),
        ("query = { port = 'game' }", "g.query.kind: is missing", ""),
        ("query = { kind = 'a2s', ports = 1 }", "g.query.ports: unknown field", "`port`"),
        ("about = { documentation = 'http://x.org' }", "g.about.documentation: must be an address", "https"),
        ("about = { eula = 'https://x.org/ y' }", "g.about.eula: must be an address", "visible"),
        ("about = { eula = 'https://x.org/y' }", "g.about.eula: needs a setting `eula`", "licence"),
        ("about = { tried = 'yes' }", "g.about.tried: must be `run` or `untried`", "yes"),
        ("enabled = 'no'", "g.enabled: must be `true` or `false`", "string"),
        ("unheard = 1", "g.unheard", "unknown field"),
        ("command = ['g', '{settings.a}']", "g.command.1: `{settings.a}` is no setting of this game", ""),
        ("env = { A = '{settings.a}' }", "g.env.A: `{settings.a}` is no setting", ""),
        ("files = { a = '{settings.B}' }", "g.files.a: `{settings.B}` is no setting", ""),
        ("env = { A = '{port.query}' }", "g.env.A: `{port.query}` names no port", ""),
        ("settings = 1", "g.settings: must be a table", "integer"),
        ("settings = { a = 1 }", "g.settings.a: must be a table", "integer"),
    ] {
        let said = said_of(lines);
        assert!(said.starts_with(&format!("line 1: {field}")) && said.contains(says), "{lines}: {said}");
        assert_eq!(said.lines().count(), 1, "{lines}: {said}");
    }
    for (setting, field, says) in [
        ("type = 'word', title = 'A'", "a.type: must be `text`", "word"),
        ("title = 'A'", "a.type: is missing", ""),
        ("type = 'text'", "a.title: is missing", ""),
        ("type = 'text', title = 'A', kind = 1", "a.kind: unknown field", "`default`"),
        ("type = 'text', title = ''", "a.title: must be a text", "45"),
        ("type = 'text', title = 'A', help = \"a\\nb\"", "a.help: must be a text", "one line"),
        ("type = 'text', title = 'A', default = 1", "a.default: must be a text of 0 to 200 characters", ""),
        ("type = 'text', title = 'A', default = 'ab', max_length = 1", "a.default: must be a text of 0 to 1", ""),
        ("type = 'text', title = 'A', default = 'a', pattern = '[0-9]+'", "a.default: must be a text", "`[0-9]+`"),
        ("type = 'text', title = 'A', pattern = '('", "a.pattern: is no regular expression", ""),
        ("type = 'text', title = 'A', pattern = 'a)(b'", "a.pattern: is no regular expression", ""),
        ("type = 'text', title = 'A', pattern = '(a{900}){900}'", "a.pattern: is no regular expression", "size"),
        ("type = 'text', title = 'A', max_length = 1001", "a.max_length: must be from `min_length` to 1000", ""),
        ("type = 'text', title = 'A', min_length = 9, max_length = 8", "a.max_length: must be from", ""),
        ("type = 'text', title = 'A', min = 9", "a.min: must be there with the type `int` or `float` only", ""),
        ("type = 'int', title = 'A', pattern = ''", "a.pattern: must be there with the type `text` or `secret`", ""),
        ("type = 'int', title = 'A', default = 1.5", "a.default: must be a whole number", ""),
        ("type = 'int', title = 'A', min = 0.5", "a.min: must be a whole number", ""),
        ("type = 'int', title = 'A', min = 'a'", "a.min: must be a number", "string"),
        ("type = 'int', title = 'A', min = 2, max = 1", "a.max: must not be below `min`", ""),
        ("type = 'float', title = 'A', default = nan", "a.default: must be a number from", ""),
        ("type = 'float', title = 'A', min = 1, max = 0.5", "a.max: must not be below `min`", ""),
        ("type = 'bool', title = 'A', default = 'yes'", "a.default: must be true or false", ""),
        ("type = 'choice', title = 'A'", "a.choices: must be 1 to 25 choices", ""),
        ("type = 'choice', title = 'A', choices = ['a', 'a']", "a.choices: must be 1 to 25 choices", "another value"),
        ("type = 'choice', title = 'A', choices = ['']", "a.choices: must be 1 to 25 choices", ""),
        ("type = 'choice', title = 'A', choices = [1]", "a.choices: must be a list of 1 to 25 texts", "integer"),
        ("type = 'choice', title = 'A', choices = ['a'], default = 'b'", "a.default: must be one of: a", ""),
        ("type = 'secret', title = 'A', default = 'hunter2'", "a.default: must be \"\" or not be there", ""),
        ("type = 'ports', title = 'A', default = [0]", "a.default: must be a list of at most 16 port numbers", ""),
        ("type = 'text', title = 'A', by = 'me'", "a.by: must be `owner` or `operator`", "me"),
    ] {
        let lines = format!("settings.a = {{ {setting} }}\nenv.A = '{{settings.a}}'");
        let said = said_of(&lines);
        assert!(said.starts_with(&format!("line 1: g.settings.{field}")) && said.contains(says), "{lines}: {said}");
    }
    let text = "type = 'text', title = 'A'";
    for (lines, says) in [
        (format!("settings.a = {{ {text} }}"), "g.settings.a: has no effect: no `{settings.a}` stands"),
        (format!("settings.A = {{ {text} }}"), "g.settings.A: must have a name of 1 to 20 small letters"),
        (format!("command = ['{{settings.a}}']\nsettings.a = {{ {text} }}"), "g.command.0: must not be a text that"),
        (format!("files.f = '{{settings.a}}'\nsettings.a = {{ {text} }}"), "g.files.f: `{settings.a}` must not stand"),
    ] {
        let said = said_of(&lines);
        assert!(said.contains(says), "{lines}: {said}");
    }
    let said = said("[g]\ntitle = 'G'\ncommand = ['g']\ncost_per_hour = 0\nready = { when = 'port' }");
    assert_eq!(said, "line 1: g.port: is missing: a game with a `command` or a `container` needs one, or `ports`\n");
}

/// The names in the answer to an unknown field are the code's own list.
#[test]
fn every_field_is_listed() {
    for (inside, lines) in [
        ("", "none = 1"),
        ("world.", "world = { none = 1 }"),
        ("ready.", "ready = { none = 1 }"),
        ("stop.", "stop = { none = 1 }"),
        ("files.*.", "files.a = { none = 1 }"),
        ("ports.*.", "ports = [{ none = 1 }]"),
        ("settings.*.", "settings.a = { none = 1 }"),
        ("query.", "query = { none = 1 }"),
        ("about.", "about = { none = 1 }"),
    ] {
        let said = said_of(lines);
        let (_, names) = said.split_once("expected ").expect("a list of fields");
        let names: BTreeSet<_> = names.split('`').skip(1).step_by(2).map(|name| format!("{inside}{name}")).collect();
        let is_here = |path: &&str| path.strip_prefix(inside).is_some_and(|name| !name.contains('.'));
        let listed: BTreeSet<_> = FIELDS.iter().map(|(path, _)| *path).filter(is_here).map(str::to_owned).collect();
        assert_eq!(names, listed);
    }
}

#[test]
fn guide_says_what_each_field_must_be() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/games.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let rows: BTreeMap<_, _> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(field, rest)| Some((field, rest.split(" | ").next()?)))
        .collect();
    let fields: BTreeMap<_, _> = FIELDS.iter().copied().collect();
    assert_eq!(rows, fields);
    for (place, example) in guide.split("```toml\n").skip(1).enumerate() {
        let (example, _) = example.split_once("```").expect("the end of an example");
        if let Err(error) = Catalogue::parse(example) {
            panic!("example {place}: {error}");
        }
    }
}

#[test]
fn other_braces_are_left_alone() {
    let text = r#"
        [g]
        title = "G"
        command = ["sh", "-c", "awk '{ print }' ${HOME} ${home} {1,2} {} {A} {port} {", "{name}}"]
        port = 1
        cost_per_hour = 0
        ready = { when = "port" }
    "#;
    Catalogue::parse(text).expect("a catalogue");
}

#[test]
fn titles_that_look_alike_are_told() {
    for other in ["Chess", "chess", "Ch\u{435}ss"] {
        let game = |key: &str, title: &str| format!("[{key}]\ntitle = '{title}'\nfleet = 'f'\ncost_per_hour = 0\n");
        let said = said(&(game("z", "Chess") + &game("a", other) + &game("b", "Checkers")));
        assert_eq!(said, "line 6: a.title: looks like \"Chess\" in line 2: people choose games by their titles\n");
    }
}

#[test]
fn non_utf_8_file_is_told_by_its_line() {
    let folder = folder(&[]);
    let file = folder.path().join("games.toml");
    fs::write(&file, b"[g]\ntitle = 'Caf\xe9'\n").expect("a file");
    let error = Catalogue::load(&file).expect("a file").expect_err("Latin-1");
    assert_eq!(error.to_string(), "line 2: this is not UTF-8");
}

#[test]
fn a_table_that_is_there_twice_is_told() {
    // The parser takes the second table for more of the first.
    let said = said("[g]\ntitle = 'G'\n[g]\ntitle = 'H'\n");
    assert_eq!(said, "line 3: g is there twice\nline 4: title is there twice\n");
}

#[test]
fn ports_follow_the_first() {
    let game = |lines: &str| {
        let text =
            format!("[g]\ntitle = 'G'\ncommand = ['g', '{{port}}']\ncost_per_hour = 0\nready.when = 'port'\n{lines}");
        let catalogue = Catalogue::parse(&text).expect("a catalogue");
        let game = catalogue.get("g").expect("the game").clone();
        let ports = game.ports.iter();
        (game.port(), game.protocol(), ports.map(|it| (it.name.clone(), it.number, it.protocol)).collect::<Vec<_>>())
    };
    let port = |name: &str, number, protocol| (name.to_owned(), number, protocol);
    let short = game("port = 7\nprotocol = 'udp'");
    assert_eq!(short, (Some(7), Protocol::Udp, vec![port("game", 7, Protocol::Udp)]));
    let several = "ports = [{ name = 'game', port = 2456, protocol = 'udp' }, { name = 'query', offset = 1, \
                   protocol = 'udp' }, { name = 'rcon', port = 2456 }]";
    let ports =
        vec![port("game", 2456, Protocol::Udp), port("query", 2457, Protocol::Udp), port("rcon", 2456, Protocol::Tcp)];
    assert_eq!(game(several), (Some(2456), Protocol::Udp, ports));
}
