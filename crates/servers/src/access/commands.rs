//! Commands that a share allows. Pure.

use std::fmt;

/// Maximum number of commands in a list.
pub const COMMANDS_MAX: usize = 50;
/// Maximum length of a command in a list, in characters.
const COMMAND_MAX: usize = 100;
/// Characters by which a line becomes more than one command, or shows a variable, in some console: `;` in those of Source,
/// Quake 3 and Teeworlds, `|` in Unreal's, `$` in DarkPlaces'.
const SPECIAL: [char; 3] = [';', '|', '$'];

/// Commands that somebody may send to a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedCommands {
    /// Every command.
    Every,
    /// Commands of this list.
    Listed(CommandList),
}

/// List of commands by their first words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandList(Vec<String>);

impl CommandList {
    /// Reads a list, in which one command has one or more words.
    ///
    /// # Errors
    /// Returns the rule that the list breaks. The words follow its name.
    pub fn new(commands: &[String]) -> Result<Self, String> {
        let mut list: Vec<String> = vec![];
        for command in commands {
            let words = words(command).collect::<Vec<_>>().join(" ");
            if words.is_empty() || words.chars().count() > COMMAND_MAX || !is_single(&words) {
                let specials = SPECIAL.map(|special| format!("`{special}`")).join(", ");
                return Err(format!("has commands of 1 to {COMMAND_MAX} characters on one line, without {specials}"));
            }
            if !list.contains(&words) {
                list.push(words);
            }
        }
        if !(1..=COMMANDS_MAX).contains(&list.len()) {
            return Err(format!("has 1 to {COMMANDS_MAX} commands"));
        }
        Ok(Self(list))
    }

    /// Wraps a list from a database. An entry that a list may not have allows nothing.
    pub fn from_stored(commands: Vec<String>) -> Self {
        Self(commands)
    }

    /// Returns the commands.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Checks whether a line is one command that begins with the words of an entry, letter by letter. Only a space parts
    /// words.
    pub fn allows(&self, line: &str) -> bool {
        let begins = |command: &String| {
            let mut of_line = words(line);
            words(command).next().is_some() && words(command).all(|word| of_line.next() == Some(word))
        };
        is_single(line) && self.0.iter().any(begins)
    }

    /// Returns the commands of both lists.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        let new: Vec<_> = other.0.into_iter().filter(|command| !self.0.contains(command)).collect();
        self.0.extend(new);
        self
    }
}

impl fmt::Display for CommandList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl AllowedCommands {
    /// Returns the commands that one of both allows.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Listed(one), Self::Listed(other)) => Self::Listed(one.or(other)),
            _ => Self::Every,
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Checks whether a line is a single command in every console.
fn is_single(line: &str) -> bool {
    let parts =
        |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') || SPECIAL.contains(&letter);
    !line.contains(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(commands: &[&str]) -> CommandList {
        CommandList::new(&commands.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()).expect("a list")
    }

    #[test]
    fn line_begins_with_the_words_of_an_entry() {
        let list = list(&["say", "whitelist  add ", "/time set"]);
        assert_eq!(list.as_slice(), ["say", "whitelist add", "/time set"]);
        for line in ["say", "say hi", " say  hi", "whitelist add Ann", "whitelist  add", "/time set day", "say \"hi"] {
            assert!(list.allows(line), "{line}");
        }
        for line in [
            "",
            " ",
            "Say hi",
            "SAY hi",
            "sayhi",
            "say\u{a0}hi",
            "/say hi",
            "\"say\" hi",
            "whitelist",
            "whitelist remove Ann",
            "whitelist\u{3000}add",
            "stop",
            "say;stop",
            "say hi;stop",
            "say hi ; stop",
            "say hi\nstop",
            "say hi\rstop",
            "say hi\0stop",
            "say\tstop",
            "say hi|stop",
            "say $rcon_password",
            "say hi\u{85}stop",
            "say hi\u{2028}stop",
            "\u{200b}say hi",
            "time set day",
            "ѕay hi",
        ] {
            assert!(!list.allows(line), "{line:?}");
        }
    }

    #[test]
    fn entry_is_a_single_command() {
        for entries in
            [vec![], vec![""], vec![" "], vec!["say", "a;b"], vec!["a\nb"], vec!["a|b"], vec!["$a"], vec!["a\0"]]
        {
            let entries: Vec<_> = entries.into_iter().map(str::to_owned).collect();
            assert!(CommandList::new(&entries).is_err(), "{entries:?}");
        }
        assert!(CommandList::new(&["x".repeat(101)]).is_err());
        let many: Vec<_> = (0..51).map(|number| number.to_string()).collect();
        assert!(CommandList::new(&many).is_err() && CommandList::new(&many[1..]).is_ok());
        assert_eq!(list(&["say", "say "]).as_slice(), ["say"]);
        let stored = CommandList::from_stored(vec![String::new(), " ".to_owned()]);
        assert!(!stored.allows("stop") && !stored.allows(""), "an empty entry allows nothing");
    }

    #[test]
    fn grants_add_up() {
        use AllowedCommands::{Every, Listed};
        let (say, kick) = (list(&["say", "list"]), list(&["kick", "list"]));
        assert_eq!(Listed(say.clone()).or(Listed(kick)), Listed(list(&["say", "list", "kick"])));
        assert_eq!(Listed(say.clone()).or(Every), Every);
        assert_eq!(Every.or(Listed(say)), Every);
    }
}
