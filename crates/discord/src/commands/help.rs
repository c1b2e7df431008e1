//! `/help`

use crate::{
    answer::Answer,
    context::Context,
    render::card::{Card, Colour},
};

const SERVERS: &str = "`/server create` makes one. `/server start`, `stop` and `restart` do what they say, to one server or to \
                       all with a `label`. `/server info` shows where to join and who did what. `/server settings` changes \
                       the game, and `/server command` speaks to it. `/server hold` keeps schedules away for a while, \
                       and `/server idle` stops a server on which nobody plays. \
                       `/server share` lets others act on yours, and `/server leave` gives up what others shared with you.";
const SCHEDULES: &str = "`/schedule create` starts or stops a server by the clock of your time zone. Choose a time from the \
                         list, or type a cron expression. `/schedule preview` shows when it would run. `steps:` does more \
                         than one thing: `say Back soon; wait 1m; restart`. `warn:` tells the players ahead, and \
                         `/server announce` a channel. `/schedule skip`, `postpone` and `history` do what they say.";
const KEYS: &str = "`/apikey create` makes a key for programs of yours. It is shown once, to you alone.";

pub(crate) fn show(context: &Context) -> Answer {
    let mut keys = KEYS.to_owned();
    if let Some(url) = &context.settings.api_url {
        keys.push_str(&format!(" The REST API is described at {url}/api/docs"));
    }
    let card = Card::new(Colour::Calm)
        .titled("AGIS runs game servers for your community")
        .field("Servers", SERVERS)
        .field("By the clock", SCHEDULES)
        .field("Programs", &keys)
        .footer("/profile shows your credits. What you look at, you alone see.");
    card.into_message().into()
}
