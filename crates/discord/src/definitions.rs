//! The commands as Discord shows them. Everybody may use them; permissions are checked at the call.

use agis_base::MANY_MAX;
use agis_scheduler::template;
use twilight_model::{
    application::{
        command::{
            Command, CommandOption, CommandOptionChoice, CommandOptionChoiceValue, CommandOptionType,
            CommandOptionValue, CommandType,
        },
        interaction::InteractionContextType,
    },
    id::Id,
    oauth::ApplicationIntegrationType,
};

use crate::commands::{announcement, apikey, batch, hold, idle, schedule, server, share};

/// Maximum length of a typed name.
const NAME_MAX: u16 = 100;
/// Maximum length of a command for a game.
const COMMAND_MAX: u16 = agis_servers::console::COMMAND_MAX as u16;

/// Returns every command, to be registered when the bot starts.
pub(crate) fn definitions() -> Vec<Command> {
    vec![
        command(
            "server",
            "Your game servers",
            vec![
                sub("list", "List your servers and those shared with you", vec![label_option()]),
                sub(
                    "create",
                    "Create a server",
                    vec![
                        text("name", "Name of the server").required().longest(NAME_MAX),
                        text("game", "Game to play").required().completed(),
                        text("description", "Description for others").longest(1000),
                        flag("public", "Let everybody see it (default: only you)"),
                        text("labels", "Labels of the server, with commas between them").completed(),
                    ],
                ),
                sub("info", "Show a server's state, address and history", vec![server_option()]),
                sub("start", "Start a server, or all with a label", acted_on(vec![])),
                sub("stop", "Stop a server, or all with a label", acted_on(vec![warn_option()])),
                sub("restart", "Stop a server, or all with a label, and start it again", acted_on(vec![warn_option()])),
                sub(
                    "announce",
                    "Tell a channel before a server stops or restarts",
                    vec![
                        server_option(),
                        text("where", "Where people hear of it").required().among(announcement::PLACES),
                    ],
                ),
                sub(
                    "hold",
                    "Keep schedules and restarts after crashes away from a server",
                    vec![
                        server_option(),
                        text("for", "How long (default: until you release it)").among(hold::LENGTHS),
                        text("reason", "Reason that others read").longest(hold::REASON_MAX),
                    ],
                ),
                sub("release", "End the hold of a server", vec![server_option()]),
                sub(
                    "idle",
                    "Show or change after how long without players a server is stopped",
                    vec![
                        server_option(),
                        text("after", "Time without players").among(idle::LENGTHS),
                        text("from", "Begin of the hours in which it is kept, such as 18:00").longest(5),
                        text("to", "End of these hours, such as 23:00").longest(5),
                        zone_option(),
                        text(
                            "join",
                            "Minecraft players who wake it by joining, such as Ann, Bob; * for all; - for none",
                        )
                        .longest(1700),
                    ],
                ),
                sub("delete", "Delete a server, after a confirmation", vec![server_option()]),
                sub(
                    "settings",
                    "Show and change the settings of a server",
                    vec![
                        server_option(),
                        text("labels", "New labels of the server, with commas between them; - for none").completed(),
                        text("reset", "A setting that goes back to its default").completed(),
                        text("restarts", "What follows when the server ends by itself").among(&[
                            ("Start it again after a crash", "crash"),
                            ("Start it again after every end", "always"),
                            ("Leave it down", "never"),
                        ]),
                    ],
                ),
                sub("players", "Show who plays on a server", vec![server_option()]),
                sub(
                    "logs",
                    "Show the last lines of a server's console",
                    vec![
                        server_option(),
                        number("lines", "Number of lines (default: 20)", 1, server::LINES_MAX.into()),
                    ],
                ),
                sub(
                    "command",
                    "Send a command to the game of a server",
                    vec![
                        server_option(),
                        text("command", "Command in the words of the game").required().longest(COMMAND_MAX),
                    ],
                ),
                sub(
                    "share",
                    "Share a server with a member, or with everybody who has a role",
                    vec![
                        server_option(),
                        option("with", "A member or a role", CommandOptionType::Mentionable).required(),
                        text("may", "Permissions to share").required().among(share::MAY),
                        text(
                            "commands",
                            "The only commands, by their first words, with commas between: say, whitelist add",
                        )
                        .longest(1000),
                    ],
                ),
                sub(
                    "unshare",
                    "Stop sharing a server with a member or a role",
                    vec![
                        server_option(),
                        option("with", "A member or a role", CommandOptionType::Mentionable).required(),
                    ],
                ),
                sub("leave", "Leave a server that somebody shared with you", vec![server_option()]),
            ],
        ),
        command(
            "schedule",
            "Start, stop and restart servers on a schedule",
            vec![
                sub(
                    "create",
                    "Create a schedule",
                    vec![
                        text("server", "Choose a server, or type its name").completed(),
                        text("label", "All servers that carry this label when a run is due").completed(),
                        template_option(),
                        text("action", "Action of each run").among(schedule::ACTIONS),
                        cron_option(),
                        zone_option(),
                        text("at", "Run once, at this time, such as 2026-12-24 20:00"),
                        text("steps", "In place of an action: say Back soon; wait 1m; stop; wait 30s; start")
                            .longest(4000),
                        warn_option(),
                        text("players", "Who may be playing").among(schedule::PLAYERS),
                        text("missed", "Policy for runs that were missed while AGIS was down")
                            .among(schedule::POLICIES),
                        at_most_option(),
                        stagger_option(),
                    ],
                ),
                sub("list", "List your schedules", vec![text("server", "Only schedules of this server").completed()]),
                sub("delete", "Delete a schedule, after a confirmation", vec![schedule_option()]),
                sub("enable", "Enable a schedule", vec![schedule_option()]),
                sub("disable", "Disable a schedule", vec![schedule_option()]),
                sub("run", "Run a schedule now; its next run stays as it is", vec![schedule_option()]),
                sub("history", "Show the last runs of a schedule, and their steps", vec![schedule_option()]),
                sub("cancel", "End the run of a schedule that goes on", vec![schedule_option()]),
                sub("skip", "Skip the next run of a schedule", vec![schedule_option()]),
                sub(
                    "postpone",
                    "Put off the stop or restart that players were told of",
                    vec![schedule_option(), text("by", "Time, such as 15m or 1h (default: 15 minutes)").longest(40)],
                ),
                sub(
                    "preview",
                    "Show the next runs of a timing without storing it",
                    vec![cron_option().required(), zone_option()],
                ),
            ],
        ),
        command(
            "apikey",
            "API keys for programs that act in your name",
            vec![
                sub(
                    "create",
                    "Create a key; it is shown once, to you alone",
                    vec![
                        text("name", "Name of the key").required().longest(NAME_MAX),
                        text("access", "Permissions of the key (default: servers and schedules)").among(apikey::ACCESS),
                        number("days", "Days until it expires (default: never)", 1, 3650),
                    ],
                ),
                sub("list", "List your keys, without the keys themselves", vec![]),
                sub(
                    "revoke",
                    "Revoke a key, after a confirmation",
                    vec![text("key", "Key to revoke").required().completed()],
                ),
            ],
        ),
        command("profile", "Show your credits, servers, schedules and keys", vec![]),
        command("help", "Show what you can do here", vec![]),
    ]
}

fn warn_option() -> CommandOption {
    text("warn", "Tell the players first: 15m 5m 1m acts 15 minutes after the time").longest(100)
}

fn server_option() -> CommandOption {
    text("server", "Choose a server, or type its name").required().completed()
}

/// Returns the options of an action on one server, or on many.
fn acted_on(more: Vec<CommandOption>) -> Vec<CommandOption> {
    let mut options = vec![
        text("server", "Choose a server, or type its name").completed(),
        text("label", "All servers with this label").completed(),
        at_most_option(),
        stagger_option(),
    ];
    options.extend(more);
    options
}

fn template_option() -> CommandOption {
    let templates: Vec<_> = template::ALL.iter().map(|template| (template.title, template.name)).collect();
    text("template", "Ready times and steps, in place of yours").among(&templates)
}

fn at_most_option() -> CommandOption {
    number("at_most", "How many servers at a time, with a label (default: all)", 1, MANY_MAX.into())
}

fn stagger_option() -> CommandOption {
    text("stagger", "Time between two servers, with a label (default: none)").among(batch::STAGGERS)
}

fn label_option() -> CommandOption {
    text("label", "Only servers with this label").completed()
}

fn schedule_option() -> CommandOption {
    text("schedule", "Choose a schedule, or type its number").required().completed()
}

fn cron_option() -> CommandOption {
    text("cron", "Choose a timing, or type a cron expression such as 0 8 * * *").completed()
}

fn zone_option() -> CommandOption {
    text("timezone", "Time zone such as Europe/Berlin (default: UTC)").completed()
}

#[expect(deprecated, reason = "the struct has the field, and no other way to be made")]
fn command(name: &str, description: &str, options: Vec<CommandOption>) -> Command {
    Command {
        application_id: None,
        contexts: Some(vec![InteractionContextType::Guild, InteractionContextType::BotDm]),
        default_member_permissions: None,
        description: description.to_owned(),
        description_localizations: None,
        dm_permission: None,
        guild_id: None,
        id: None,
        integration_types: Some(vec![ApplicationIntegrationType::GuildInstall]),
        kind: CommandType::ChatInput,
        name: name.to_owned(),
        name_localizations: None,
        nsfw: None,
        options,
        version: Id::new(1),
    }
}

fn sub(name: &str, description: &str, options: Vec<CommandOption>) -> CommandOption {
    CommandOption { options: Some(options), ..option(name, description, CommandOptionType::SubCommand) }
}

fn text(name: &str, description: &str) -> CommandOption {
    option(name, description, CommandOptionType::String)
}

fn flag(name: &str, description: &str) -> CommandOption {
    option(name, description, CommandOptionType::Boolean)
}

fn number(name: &str, description: &str, min: i64, max: i64) -> CommandOption {
    CommandOption {
        min_value: Some(CommandOptionValue::Integer(min)),
        max_value: Some(CommandOptionValue::Integer(max)),
        ..option(name, description, CommandOptionType::Integer)
    }
}

fn option(name: &str, description: &str, kind: CommandOptionType) -> CommandOption {
    CommandOption {
        autocomplete: None,
        channel_types: None,
        choices: None,
        description: description.to_owned(),
        description_localizations: None,
        file_types: None,
        kind,
        max_length: None,
        max_value: None,
        min_length: None,
        min_value: None,
        name: name.to_owned(),
        name_localizations: None,
        options: None,
        required: None,
    }
}

/// Properties of an option.
trait Asks: Sized {
    fn required(self) -> Self;
    fn completed(self) -> Self;
    fn longest(self, characters: u16) -> Self;
    fn among(self, words: &[(&str, &str)]) -> Self;
}

impl Asks for CommandOption {
    fn required(self) -> Self {
        Self { required: Some(true), ..self }
    }

    fn completed(self) -> Self {
        Self { autocomplete: Some(true), ..self }
    }

    fn longest(self, characters: u16) -> Self {
        Self { min_length: Some(1), max_length: Some(characters), ..self }
    }

    /// Offers pairs of label and value.
    fn among(self, words: &[(&str, &str)]) -> Self {
        let choices = words.iter().map(|(name, value)| choice(name, value)).collect();
        Self { choices: Some(choices), ..self }
    }
}

/// Returns one choice.
pub(crate) fn choice(name: &str, value: &str) -> CommandOptionChoice {
    CommandOptionChoice {
        name: name.to_owned(),
        name_localizations: None,
        value: CommandOptionChoiceValue::String(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::Verb;

    fn is_name(name: &str) -> bool {
        (1..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
    }

    fn check(path: &str, name: &str, description: &str, options: &[CommandOption]) {
        assert!(is_name(name), "{path}");
        assert!((1..=100).contains(&description.chars().count()), "{path}: {description}");
        assert!(options.len() <= 25, "{path}");
        let required: Vec<_> = options.iter().map(|option| option.required == Some(true)).collect();
        assert!(required.is_sorted_by(|first, second| first >= second), "{path}: the required ones come first");
        for option in options {
            let path = format!("{path} {}", option.name);
            check(&path, &option.name, &option.description, option.options.as_deref().unwrap_or_default());
            let choices = option.choices.as_deref().unwrap_or_default();
            assert!(choices.len() <= 25, "{path}");
            assert!(choices.is_empty() || option.autocomplete.is_none(), "{path}: choices are not completed");
            for choice in choices {
                let CommandOptionChoiceValue::String(value) = &choice.value else { panic!("{path}: a text") };
                assert!((1..=100).contains(&choice.name.chars().count()), "{path}");
                assert!((1..=100).contains(&value.chars().count()), "{path}");
            }
        }
    }

    /// Returns the size that Discord limits to 8,000 characters per command.
    fn size(name: &str, description: &str, options: &[CommandOption]) -> usize {
        let inner: usize = options
            .iter()
            .map(|option| {
                let choices = option.choices.iter().flatten().map(|choice| choice.name.len() + 100).sum::<usize>();
                choices + size(&option.name, &option.description, option.options.as_deref().unwrap_or_default())
            })
            .sum();
        name.len() + description.len() + inner
    }

    #[test]
    fn every_limit_of_discord_is_kept() {
        let definitions = definitions();
        assert!(definitions.len() <= 100);
        for command in &definitions {
            check(&command.name, &command.name, &command.description, &command.options);
            assert!(size(&command.name, &command.description, &command.options) <= 8000, "{}", command.name);
        }
    }

    #[test]
    fn defined_and_answered_commands_agree() {
        let mut defined: Vec<String> = vec![];
        for command in definitions() {
            let subs = command.options.iter().filter(|option| option.kind == CommandOptionType::SubCommand);
            let subs: Vec<_> = subs.map(|sub| format!("{} {}", command.name, sub.name)).collect();
            defined.extend(if subs.is_empty() { vec![command.name] } else { subs });
        }
        let mut answered: Vec<String> = Verb::ALL.iter().map(|verb| verb.as_str().to_owned()).collect();
        defined.sort();
        answered.sort();
        assert_eq!(defined, answered);
    }
}
