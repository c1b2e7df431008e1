//! Caller and arguments of an interaction.

use agis_base::{ChannelId, GuildId, RoleId, ServerId, Timestamp, Trace, UserId};
use agis_servers::{Action, Origin, Request, operation::Identity};
use chrono::DateTime;
use twilight_model::{
    application::interaction::{
        Interaction, InteractionDataResolved,
        application_command::{CommandData, CommandDataOption, CommandOptionValue},
        modal::ModalInteractionComponent,
    },
    channel::Channel,
    id::{
        Id,
        marker::{GenericMarker, InteractionMarker},
    },
};

use crate::wording::Refusal;

/// Start of Discord's ids, in milliseconds of Unix time.
const DISCORD_EPOCH_MS: u64 = 1_420_070_400_000;

/// Interaction without its arguments. Everybody who has its token can answer it, so it cannot be printed.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) id: Id<InteractionMarker>,
    pub(crate) token: String,
    pub(crate) user: UserId,
    /// Membership of the caller; `None` in a direct message.
    pub(crate) member: Option<Member>,
    pub(crate) channel: Option<ChannelId>,
}

/// A member of a guild.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) guild: GuildId,
    /// Roles, including the one that everybody has: it has the guild's id.
    pub(crate) roles: Vec<RoleId>,
}

impl Call {
    /// Requests an operation for the caller. The owner hears of a bad end in the channel of the call.
    pub(crate) fn request(&self, server: ServerId, action: Action, key: String) -> Request {
        let channel = self.member.as_ref().and(self.channel.clone());
        let (actor, identity) = (self.user.clone(), Identity::Key(key));
        let trace = Some(Trace::ours(self.id));
        Request { server, action, origin: Origin::Discord, actor, identity, channel, trace }
    }

    /// Reads the caller of an interaction; `None` without a user.
    pub(crate) fn of(interaction: &Interaction) -> Option<Self> {
        let user = interaction.author_id()?.to_string();
        let member = interaction.guild_id.zip(interaction.member.as_ref()).map(|(guild, member)| {
            let guild = guild.to_string();
            let mut roles: Vec<_> = member.roles.iter().map(|role| RoleId::from_stored(&role.to_string())).collect();
            roles.push(RoleId::from_stored(&guild));
            roles.sort_unstable();
            Member { guild: GuildId::from_stored(&guild), roles }
        });
        let channel = |channel: &Channel| ChannelId::from_stored(&channel.id.to_string());
        Some(Self {
            id: interaction.id,
            token: interaction.token.clone(),
            user: UserId::from_stored(&user),
            member,
            channel: interaction.channel.as_ref().map(channel),
        })
    }

    /// Returns the time of the interaction, by Discord's clock.
    pub(crate) fn at(&self) -> Timestamp {
        moment(self.id.get())
    }
}

/// Returns the time at which Discord made this id.
pub(crate) fn moment(id: u64) -> Timestamp {
    let millis = (id >> 22) + DISCORD_EPOCH_MS;
    i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

/// Arguments of a command.
pub(crate) struct Args {
    options: Vec<CommandDataOption>,
    resolved: Option<InteractionDataResolved>,
}

/// Member or role that can be mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mentioned {
    User(Id<GenericMarker>),
    Role(Id<GenericMarker>),
}

impl Args {
    /// Splits a command into its words (`server start`) and its arguments.
    pub(crate) fn of(data: CommandData) -> (String, Self) {
        let (mut word, mut options) = (data.name, data.options);
        while let [CommandDataOption { value: CommandOptionValue::SubCommand(_), .. }]
        | [CommandDataOption { value: CommandOptionValue::SubCommandGroup(_), .. }] = options.as_slice()
        {
            let Some(sub) = options.pop() else { break };
            word = format!("{word} {}", sub.name);
            if let CommandOptionValue::SubCommand(inner) | CommandOptionValue::SubCommandGroup(inner) = sub.value {
                options = inner;
            }
        }
        (word, Self { options, resolved: data.resolved })
    }

    fn value(&self, name: &str) -> Option<&CommandOptionValue> {
        self.options.iter().find(|option| option.name == name).map(|option| &option.value)
    }

    /// Returns a text without quotes around it: Discord passes them on. Invisible characters count as blank.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let CommandOptionValue::String(text) = self.value(name)? else { return None };
        let text = unquoted(&text.replace(char::is_control, " "));
        (!text.is_empty()).then_some(text)
    }

    /// Returns a required line as it was typed, with its quotes, but without the blanks around it.
    pub(crate) fn line(&self, name: &'static str) -> Result<String, Refusal> {
        let typed = match self.value(name) {
            Some(CommandOptionValue::String(text)) => text.trim(),
            _ => "",
        };
        if typed.is_empty() { Err(missing(name)) } else { Ok(typed.to_owned()) }
    }

    /// Returns a required text. Discord enforces it; other senders may omit it.
    pub(crate) fn needed(&self, name: &'static str) -> Result<String, Refusal> {
        self.text(name).ok_or_else(|| missing(name))
    }

    /// Returns whether the option was given at all.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        match self.value(name)? {
            CommandOptionValue::Integer(number) => u32::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(CommandOptionValue::Boolean(true)))
    }

    /// Returns a user or a role; `None` if Discord does not say which of the two it is.
    pub(crate) fn mentioned(&self, name: &str) -> Option<Mentioned> {
        let CommandOptionValue::Mentionable(id) = *self.value(name)? else { return None };
        let resolved = self.resolved.as_ref()?;
        if resolved.users.contains_key(&id.cast()) {
            return Some(Mentioned::User(id));
        }
        resolved.roles.contains_key(&id.cast()).then_some(Mentioned::Role(id))
    }

    /// Returns the option that is being typed: its name, and its text so far.
    pub(crate) fn focused(&self) -> Option<(&str, String)> {
        self.options.iter().find_map(|option| match &option.value {
            CommandOptionValue::Focused(text, _) => {
                Some((option.name.as_str(), text.replace(char::is_control, " ").trim().to_owned()))
            }
            _ => None,
        })
    }
}

/// Returns what was typed and chosen in a modal, by the names of its fields. Invisible characters count as blank; blanks
/// around a text stay, since they may be meant.
pub(crate) fn typed(components: Vec<ModalInteractionComponent>) -> Vec<(String, String)> {
    let field = |component: ModalInteractionComponent| {
        let ModalInteractionComponent::Label(label) = component else { return None };
        match *label.component {
            ModalInteractionComponent::TextInput(input) => {
                Some((input.custom_id, input.value.replace(char::is_control, " ")))
            }
            ModalInteractionComponent::StringSelect(select) => {
                Some((select.custom_id, select.values.into_iter().next()?))
            }
            _ => None,
        }
    };
    components.into_iter().filter_map(field).collect()
}

fn missing(name: &str) -> Refusal {
    Refusal::refused(format!("Say which `{name}` you mean."))
}

/// Removes quotes that belong together.
fn unquoted(text: &str) -> String {
    let text = text.trim();
    let pairs = [('"', '"'), ('\'', '\''), ('“', '”'), ('`', '`')];
    let inner = pairs.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inner.unwrap_or(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use twilight_model::application::command::{CommandOptionType, CommandType};

    use super::*;

    fn option(name: &str, value: CommandOptionValue) -> CommandDataOption {
        CommandDataOption { name: name.to_owned(), value }
    }

    fn data(name: &str, options: Vec<CommandDataOption>) -> CommandData {
        let (name, id) = (name.to_owned(), Id::new(1));
        CommandData { guild_id: None, id, kind: CommandType::ChatInput, name, options, resolved: None, target_id: None }
    }

    #[test]
    fn checklist_line_is_read_to_the_letter() {
        let text = |name: &str, text: &str| option(name, CommandOptionValue::String(text.to_owned()));
        let inner = vec![
            text("server", "MyServer"),
            text("action", "start"),
            text("cron", "\"0 8 * * *\""),
            text("timezone", "America/New_York"),
        ];
        let (word, args) = Args::of(data("schedule", vec![option("create", CommandOptionValue::SubCommand(inner))]));
        assert_eq!(word, "schedule create");
        let read = ["server", "action", "cron", "timezone"].map(|name| args.text(name).expect("is there"));
        assert_eq!(read, ["MyServer", "start", "0 8 * * *", "America/New_York"]);
    }

    #[test]
    fn matching_quotes_are_left_out() {
        for (typed, read) in [
            ("\"a b\"", "a b"),
            ("'a'", "a"),
            ("“a”", "a"),
            (" a ", "a"),
            ("\"a", "\"a"),
            ("a\"b\"", "a\"b\""),
            ("\"", "\""),
            ("\"\"", ""),
        ] {
            assert_eq!(unquoted(typed), read, "{typed}");
        }
    }

    #[test]
    fn unseen_characters_never_reach_the_store() {
        let typed = option("name", CommandOptionValue::String("a\0b\nc".to_owned()));
        let (_, args) = Args::of(data("server", vec![option("create", CommandOptionValue::SubCommand(vec![typed]))]));
        assert_eq!(args.text("name").as_deref(), Some("a b c"));
    }

    #[test]
    fn option_being_typed_is_found() {
        let typed = option("server", CommandOptionValue::Focused("my".to_owned(), CommandOptionType::String));
        let (_, args) = Args::of(data("server", vec![option("start", CommandOptionValue::SubCommand(vec![typed]))]));
        assert_eq!(args.focused(), Some(("server", "my".to_owned())));
    }

    #[test]
    fn the_moment_of_an_id_is_discords() {
        // The example of Discord's own reference.
        assert_eq!(moment(175_928_847_299_117_063).to_rfc3339(), "2016-04-30T11:18:25.796+00:00");
    }
}
