//! Abilities in which kinds of hosts differ. A host declares each, and people hear of a missing one before they try.

use agis_base::{Reason, words};
use serde::{Deserialize, Serialize};

words! {
    /// Ability in which kinds of hosts differ. [`Host`](super::Host) and [`Console`](crate::console::Console) promise
    /// the rest for every kind.
    Ability {
        /// The console of a run can be read.
        Console = "console",
        /// The console of a run that has ended can be read, until the next start at least.
        PastConsole = "past_console",
        /// A line can be typed into the console, by people or as the way to stop a game.
        Commands = "commands",
        /// The files of a catalogue's entry are written before each start.
        Files = "files",
    }
}

impl Ability {
    /// Returns the refusal of a request that needs this ability, for people; the reason follows it.
    pub fn refusal(self) -> &'static str {
        match self {
            Self::Console => "the console of this server cannot be read",
            Self::PastConsole => "the console of this server can be read only while it runs",
            Self::Commands => "this server takes no commands",
            Self::Files => "the host of this server writes no files",
        }
    }
}

/// Abilities of a host, or of a server. An ability that is in neither list is unknown: an earlier version reported the
/// host, or nobody has yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Words of the abilities that it has. Reports of a newer version may have other words.
    pub able: Vec<String>,
    /// Abilities that it lacks.
    pub unable: Vec<Inability>,
}

/// Ability that a host or a server lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inability {
    /// Word of the [`Ability`]. Reports of a newer version may have other words.
    pub what: String,
    /// Reason, and the way out, for everybody.
    pub why: String,
}

impl Abilities {
    /// Returns every ability.
    pub fn all() -> Self {
        Self { able: Ability::ALL.iter().map(ToString::to_string).collect(), unable: vec![] }
    }

    /// Adds an ability, whatever was said of it before.
    #[must_use]
    pub fn with(mut self, ability: Ability) -> Self {
        self.forget(ability);
        self.able.push(ability.to_string());
        self
    }

    /// Takes an ability away, for a reason that ends without a full stop.
    #[must_use]
    pub fn without(mut self, ability: Ability, why: impl Into<String>) -> Self {
        self.forget(ability);
        self.unable.push(Inability { what: ability.to_string(), why: Reason::new(why).to_string() });
        self
    }

    /// Checks whether the ability is there for sure.
    pub fn has(&self, ability: Ability) -> bool {
        self.able.iter().any(|it| it == ability.as_str())
    }

    /// Returns the reason why an ability is missing; `None` if it is there or unknown.
    pub fn why_not(&self, ability: Ability) -> Option<&str> {
        self.unable.iter().find(|it| it.what == ability.as_str()).map(|it| it.why.as_str())
    }

    /// Returns those of them that matter to the people who have a server. The catalogue sees to the others.
    #[must_use]
    pub(crate) fn of_a_server(mut self) -> Self {
        self.forget(Ability::Files);
        self
    }

    fn forget(&mut self, ability: Ability) {
        self.able.retain(|it| it != ability.as_str());
        self.unable.retain(|it| it.what != ability.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ability_is_there_missing_or_unknown() {
        let mute = Abilities::all().without(Ability::Commands, "no input");
        assert!(mute.has(Ability::Console) && !mute.has(Ability::Commands));
        assert_eq!(mute.why_not(Ability::Commands), Some("no input"));
        let typed = mute.with(Ability::Commands);
        assert!(typed.has(Ability::Commands) && typed.unable.is_empty());
        assert!(!Abilities::default().has(Ability::Console));
        assert_eq!(Abilities::default().why_not(Ability::Console), None, "unknown is no refusal");
    }
}
