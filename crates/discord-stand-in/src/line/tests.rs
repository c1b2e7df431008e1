use super::*;
use crate::GUILD;

const ANN: u64 = 101;

fn commands() -> Vec<Value> {
    let server = json!({"type": 3, "name": "server", "description": "s", "required": true, "autocomplete": true});
    let cron = json!({"type": 3, "name": "cron", "description": "c"});
    let action =
        json!({"type": 3, "name": "action", "description": "a", "choices": [{"name": "Start it", "value": "start"}]});
    let lines = json!({"type": 4, "name": "lines", "description": "l", "min_value": 1, "max_value": 50});
    let who = json!({"type": 9, "name": "who", "description": "w"});
    let create =
        json!({"type": 1, "name": "create", "description": "c", "options": [server, action, cron, lines, who]});
    let list = json!({"type": 1, "name": "list", "description": "l"});
    vec![
        json!({"id": "7", "name": "schedule", "type": 1, "options": [create, list]}),
        json!({"id": "8", "name": "help", "type": 1, "options": []}),
    ]
}

fn state() -> State {
    let mut state = State::default();
    state.world.users.insert(ANN, "Ann".to_owned());
    if let Some(guild) = state.world.guilds.get_mut(&GUILD) {
        guild.roles.insert(55, "Mods".to_owned());
    }
    state
}

fn typed(line: &str) -> Result<Value, String> {
    let (commands, state) = (commands(), state());
    let author = Author { state: &state, user: ANN, guild: Some(GUILD) };
    let shown: Vec<_> = commands.iter().collect();
    let data = Line::read(&shown, line).and_then(|line| line.command(author));
    data.map_err(|refusal| refusal.to_string())
}

fn values(line: &str) -> Vec<(String, Value)> {
    let data = typed(line).expect(line);
    let options = data["options"][0]["options"].as_array().cloned().unwrap_or_default();
    options.into_iter().map(|option| (text(&option["name"]).to_owned(), option["value"].clone())).collect()
}

#[test]
fn a_value_runs_until_the_next_known_option() {
    let wanted = vec![("server".to_owned(), json!("My: little server")), ("cron".to_owned(), json!("0 8 * * *"))];
    assert_eq!(values("/schedule create server:My: little server cron:0 8 * * *"), wanted);
    assert_eq!(values("/schedule create server: My: little server  cron:\"0 8 * * *\""), wanted);
}

#[test]
fn quoted_text_is_no_option() {
    assert_eq!(
        values(r#"/schedule create server:"a cron:b" lines:5"#),
        vec![("server".to_owned(), json!("a cron:b")), ("lines".to_owned(), json!(5)),]
    );
    assert_eq!(values(r#"/schedule create server:"never closed lines:5"#)[1].1, json!(5));
}

#[test]
fn sub_commands_are_nested() {
    let data = typed("/schedule list").expect("a command");
    assert_eq!(
        data,
        json!({"id": "7", "name": "schedule", "type": 1, "options": [
            {"name": "list", "type": 1, "options": []},
        ]})
    );
    assert_eq!(typed("/help").expect("a command")["options"], json!([]));
}

#[test]
fn choice_is_taken_by_name_or_value() {
    assert_eq!(values("/schedule create server:a action:Start it")[1].1, json!("start"));
    assert_eq!(values("/schedule create server:a action:start")[1].1, json!("start"));
}

#[test]
fn mentions_bring_their_objects() {
    let data = typed("/schedule create server:a who:<@101>").expect("a command");
    assert_eq!(data["resolved"]["users"]["101"]["global_name"], json!("Ann"));
    let data = typed("/schedule create server:a who:@Mods").expect("a command");
    assert_eq!(data["resolved"]["roles"]["55"]["name"], json!("Mods"));
}

#[test]
fn impossible_lines_are_refused() {
    let refused = [
        ("schedule list", "begins with `/`"),
        ("/nothing", "no command `/nothing`"),
        ("/schedule", "no sub-command"),
        ("/schedule create", "`server` is required"),
        ("/schedule create servr:a", "`servr:a` names no option"),
        ("/schedule create server:a server:b", "twice"),
        ("/schedule create server:a action:dance", "no choice"),
        ("/schedule create server:a lines:many", "no whole number"),
        ("/schedule create server:a lines:51", "out of bounds"),
        ("/schedule create server:a who:@Nobody", "no user or role"),
        ("/schedule create server:", "1 to 6000 characters"),
    ];
    for (line, why) in refused {
        let refusal = typed(line).expect_err(line);
        assert!(refusal.contains(why), "{line}: {refusal}");
    }
}

#[test]
fn last_option_is_the_one_being_typed() {
    let (commands, state) = (commands(), state());
    let shown: Vec<_> = commands.iter().collect();
    let author = Author { state: &state, user: ANN, guild: Some(GUILD) };
    let line = Line::read(&shown, "/schedule create lines:no number server:My").expect("a line");
    let data = line.autocomplete(author).expect("suggestions");
    assert_eq!(data["options"][0]["options"], json!([{"name": "server", "type": 3, "value": "My", "focused": true}]));
    let line = Line::read(&shown, "/schedule create server:").expect("a line");
    assert_eq!(line.autocomplete(author).expect("suggestions")["options"][0]["options"][0]["value"], json!(""));
    let line = Line::read(&shown, "/schedule create server:a lines:5").expect("a line");
    assert!(line.autocomplete(author).is_err());
}
