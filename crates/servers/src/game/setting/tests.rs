use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::game::Catalogue;

fn game() -> Game {
    let text = r#"
        [g]
        title = "G"
        command = ["g", "{settings.motd} {settings.slots} {settings.pace} {settings.pvp} {settings.mode} {settings.door} {settings.key}"]
        port = 1
        cost_per_hour = 0
        ready = { when = "port" }
        [g.settings]
        motd = { type = "text", title = "Message", default = "Hi", max_length = 20, pattern = "[^<>]*" }
        slots = { type = "int", title = "Slots", default = 8, min = 1, max = 64 }
        pace = { type = "float", title = "Pace", default = 1.5, min = 0.5, max = 4 }
        pvp = { type = "bool", title = "PvP", default = false }
        mode = { type = "choice", title = "Mode", default = "1", choices = [{ value = "1", title = "One" }, "two"] }
        door = { type = "ports", title = "Doors", default = [] }
        key = { type = "secret", title = "Password", min_length = 5 }
    "#;
    let catalogue = Catalogue::parse(text).unwrap_or_else(|error| panic!("{error}"));
    Game::clone(catalogue.get("g").expect("the game"))
}

#[test]
fn settings_keep_the_order_of_the_catalogue() {
    let names: Vec<_> = game().settings.into_iter().map(|setting| setting.name).collect();
    assert_eq!(names, ["motd", "slots", "pace", "pvp", "mode", "door", "key"]);
}

#[test]
fn values_fit_by_the_rule_of_their_type() {
    let game = game();
    for (name, value, text) in [
        ("motd", json!("a \"b\" 'c' {port} \\"), Some("a \"b\" 'c' {port} \\")),
        ("motd", json!("a\nb"), None),
        ("motd", json!("a\0"), None),
        ("motd", json!("a\u{2028}"), None),
        ("motd", json!("<b>"), None),
        ("motd", json!("123456789012345678901"), None),
        ("motd", json!(7), None),
        ("motd", json!(null), None),
        ("slots", json!(64), Some("64")),
        ("slots", json!(0), None),
        ("slots", json!(65), None),
        ("slots", json!(1.5), None),
        ("slots", json!("8"), None),
        ("slots", json!(u64::MAX), None),
        ("pace", json!(4), Some("4")),
        ("pace", json!(0.75), Some("0.75")),
        ("pace", json!(0.1), None),
        ("pace", json!(1e300), None),
        ("pvp", json!(true), Some("true")),
        ("pvp", json!("true"), None),
        ("mode", json!("two"), Some("two")),
        ("mode", json!("One"), None),
        ("door", json!([27015, 27016]), Some("27015,27016")),
        ("door", json!([0]), None),
        ("door", json!([65536]), None),
        ("door", json!([[1]]), None),
        ("door", json!(vec![1; 17]), None),
        ("key", json!("12345"), Some("12345")),
        ("key", json!("1234"), None),
    ] {
        let form = &game.setting(name).expect("a setting").form;
        let value = SettingValue::from(value);
        let fits = form.fits(&value).then(|| value.expose_text());
        assert_eq!(fits.as_deref(), text, "{name}: {:?}", value.expose());
    }
}

#[test]
fn typed_texts_become_values() {
    let game = game();
    for (name, text, value) in [
        ("motd", " 7 ", json!(" 7 ")),
        ("slots", " 7 ", json!(7)),
        ("slots", "7.0", json!("7.0")),
        ("pace", "1,5", json!(1.5)),
        ("pace", "NaN", json!("NaN")),
        ("pvp", "Yes", json!(true)),
        ("pvp", "maybe", json!("maybe")),
        ("door", "1, 2 3", json!([1, 2, 3])),
        ("door", "", json!([])),
        ("door", "1;2", json!("1;2")),
    ] {
        let form = &game.setting(name).expect("a setting").form;
        assert_eq!(form.of_typed(text).expose(), &value, "{name}: {text}");
    }
}

#[test]
fn a_start_needs_a_fitting_value_of_each_setting() {
    let game = game();
    let mut chosen = SettingValues::new();
    let why = game.setting_values(&chosen).expect_err("the secret has no default");
    assert!(why.starts_with("the setting 'key' (Password) needs a value, which must be a text of 5 to"), "{why}");
    chosen.insert("key".to_owned(), json!("hunter2").into());
    chosen.insert("gone".to_owned(), json!({ "of": "an earlier catalogue" }).into());
    let values = game.setting_values(&chosen).expect("values");
    assert_eq!(
        values.keys().map(String::as_str).collect::<Vec<_>>(),
        ["door", "key", "mode", "motd", "pace", "pvp", "slots"]
    );
    assert_eq!(values["slots"].expose(), &json!(8));
    assert!(!format!("{values:?}").contains("hunter2"), "{values:?}");
    chosen.insert("slots".to_owned(), json!(65).into());
    let why = game.setting_values(&chosen).expect_err("65 does not fit");
    assert!(why.contains("'slots' (Slots) has a value that does not fit any more: it must be a whole number"), "{why}");
}

proptest! {
    #[test]
    fn any_typed_text_fits_or_is_refused(text in "\\PC{0,40}|.{0,10}", name in 0..7usize) {
        let game = game();
        let setting = &game.settings[name];
        let value = setting.form.of_typed(&text);
        if setting.form.fits(&value) {
            let shown = value.expose_text();
            prop_assert!(!shown.contains(char::is_control));
            if !matches!(setting.form, SettingForm::Float { .. }) {
                prop_assert_eq!(setting.form.of_typed(&shown), value);
            }
        }
    }
}
