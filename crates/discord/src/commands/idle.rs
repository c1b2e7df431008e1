//! `/server idle`

use agis_base::Span;
use agis_servers::{
    Idle, IdleRule, Server, ServerChange,
    idle::{InvalidIdle, KeepWindow, WakeOnJoin},
};

use crate::{
    answer::Answer,
    call::{Args, Call},
    context::Context,
    find,
    render::server as page,
    wording::Refusal,
};

/// Times without players: label and word.
pub(crate) const LENGTHS: &[(&str, &str)] = &[
    ("10 minutes", "10m"),
    ("15 minutes", "15m"),
    ("30 minutes", "30m"),
    ("1 hour", "1h"),
    ("2 hours", "2h"),
    ("4 hours", "4h"),
    ("Never", NEVER),
];
/// Word that removes the rule.
const NEVER: &str = "never";

/// Shows or changes the rule by which a server is stopped when nobody plays.
pub(crate) async fn idle(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let servers = &context.services.servers;
    let (server, _) = find::server(&context.services, call, &args.needed("server")?).await?;
    let (after, hours, join) = (args.text("after"), window(args)?, args.text("join").map(|typed| gate(&typed)));
    if after.is_none() && hours.is_none() && join.is_none() {
        return Ok(page::idle(&server).into());
    }
    let rule = if after.as_deref() == Some(NEVER) { None } else { Some(rule(&server, after, hours, join)?) };
    let change = ServerChange { idle: Some(rule), ..ServerChange::default() };
    let server = servers.change(&call.user, server.id, change).await?;
    Ok(page::idle(&server).into())
}

/// Returns the new rule: a part that was not typed stays.
fn rule(
    server: &Server,
    after: Option<String>,
    hours: Option<KeepWindow>,
    join: Option<Option<WakeOnJoin>>,
) -> Result<IdleRule, Refusal> {
    let before = server.idle.as_ref().map(|Idle { rule, .. }| rule);
    let stop_after = match after {
        Some(word) => word.parse::<Span>().ok(),
        None => before.map(|rule| rule.stop_after),
    };
    let stop_after = stop_after.ok_or_else(|| Refusal::refused("Choose from the list after how long (`after`)."))?;
    let keep = match hours {
        Some(window) => vec![window],
        None => before.map(|rule| rule.keep.clone()).unwrap_or_default(),
    };
    let wake_on_join = join.unwrap_or_else(|| before.and_then(|rule| rule.wake_on_join.clone()));
    Ok(IdleRule { stop_after, keep, wake_on_join })
}

/// Reads who wakes the server by joining: names with commas between them, `*` for everybody, `-` for nobody.
fn gate(typed: &str) -> Option<WakeOnJoin> {
    match typed.trim() {
        "-" => None,
        "*" => Some(WakeOnJoin { players: None }),
        names => {
            let names = names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
            Some(WakeOnJoin { players: Some(names.collect()) })
        }
    }
}

fn window(args: &Args) -> Result<Option<KeepWindow>, Refusal> {
    match (args.text("from"), args.text("to")) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) => {
            let zone = args.text("timezone").unwrap_or_else(|| "UTC".to_owned());
            let window = KeepWindow::parse(&from, &to, &zone);
            window.map(Some).map_err(|InvalidIdle { field, rule }| {
                let field = field.trim_start_matches("keep.");
                Refusal::refused(format!("`{field}` {rule}."))
            })
        }
        _ => Err(Refusal::refused("Say both `from` and `to`, such as 18:00 and 23:00.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_length_is_a_rule() {
        for (label, word) in LENGTHS.iter().filter(|(_, word)| *word != NEVER) {
            let stop_after: Span = word.parse().unwrap_or_else(|_| panic!("{label}"));
            assert_eq!(IdleRule { stop_after, keep: vec![], wake_on_join: None }.check(), Ok(()), "{label}");
        }
    }
}
