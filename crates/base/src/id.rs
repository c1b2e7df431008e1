use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use thiserror::Error;
use uuid::Uuid;

/// The text is not an id in its only accepted form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an id is a positive number in decimal digits, or a UUID in lower case with hyphens")]
pub struct InvalidId;

macro_rules! serial_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts only the text that [`fmt::Display`] writes, so that two texts never name one id.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let number = text.parse().ok().filter(|number: &i32| *number > 0);
                number.filter(|_| !text.starts_with(['+', '0'])).map(Self).ok_or(InvalidId)
            }
        }
    };
}

serial_id! {
    /// Game server (`game_servers.id`).
    ServerId
}
serial_id! {
    /// Schedule (`server_schedules.id`).
    ScheduleId
}
serial_id! {
    /// API key (`api_keys.id`); not the key itself.
    KeyId
}

serial_id! {
    /// Batch: one action on many servers (`server_batches.id`).
    BatchId
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes a new id, later than all earlier ones of this process.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts only the text that [`fmt::Display`] writes, so that two texts never name one id.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id: Uuid = text.parse().map_err(|_| InvalidId)?;
                let canonical = id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
                canonical.then_some(Self(id)).ok_or(InvalidId)
            }
        }
    };
}

uuid_id! {
    /// Operation on a server (`operations.id`), a UUIDv7: sorted by the time of acceptance.
    OperationId
}
uuid_id! {
    /// Command for a game (`server_commands.id`), a UUIDv7: sorted by the time at which it was sent.
    CommandId
}

macro_rules! discord_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl $name {
            /// Accepts an id from a database unchecked; rows may be older than this program.
            pub fn from_stored(text: &str) -> Self {
                Self(text.into())
            }

            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidDiscordId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| Self(text.into())).ok_or(InvalidDiscordId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The text is not a Discord id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a Discord id is 1 to 20 decimal digits, for example 123456789012345678")]
pub struct InvalidDiscordId;

discord_id! {
    /// Discord user: a snowflake in decimal. It is public, so it never proves who calls.
    UserId
}
discord_id! {
    /// Discord guild: the community whose members use the bot.
    GuildId
}
discord_id! {
    /// Role of a guild. Every member has the role with the guild's own id.
    RoleId
}
discord_id! {
    /// Discord channel.
    ChannelId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_in_one_way() {
        for number in [1, 42, i32::MAX] {
            assert_eq!(number.to_string().parse(), Ok(ServerId(number)));
        }
        let wrong =
            ["", "0", "-0", "-1", "+1", "01", " 1", "1 ", "1\n", "1.0", "1e3", "0x1", "1_0", "%31", "１", "2147483648"];
        for text in wrong {
            assert_eq!(text.parse::<KeyId>(), Err(InvalidId), "{text:?}");
        }
        let id = "0199d3a0-4b5c-7def-8123-456789abcdef";
        assert_eq!(id.parse::<OperationId>().map(|id| id.to_string()), Ok(id.to_owned()));
        let other_ways = [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}")];
        for text in other_ways {
            assert_eq!(text.parse::<OperationId>(), Err(InvalidId), "{text:?}");
        }
    }

    #[test]
    fn a_user_id_is_decimal_digits() {
        assert_eq!("123".parse::<UserId>().map(|id| id.to_string()), Ok("123".to_owned()));
        for wrong in ["", "12a", "-1", "123456789012345678901", "１２"] {
            assert_eq!(wrong.parse::<UserId>(), Err(InvalidDiscordId), "{wrong}");
        }
    }
}
