//! `/server hold`, `/server release`

use agis_base::Span;
use agis_servers::NewHold;
use chrono::{TimeDelta, Utc};

use crate::{
    answer::Answer,
    call::{Args, Call},
    context::Context,
    find,
    render::{self, server as page, text::plain},
    wording::Refusal,
};

/// Lengths of a hold: label and word.
pub(crate) const LENGTHS: &[(&str, &str)] = &[
    ("1 hour", "1h"),
    ("4 hours", "4h"),
    ("12 hours", "12h"),
    ("1 day", "24h"),
    ("3 days", "72h"),
    ("1 week", "168h"),
    ("4 weeks", "672h"),
];

/// Maximum length of a reason.
pub(crate) const REASON_MAX: u16 = agis_servers::hold::REASON_MAX as u16;

pub(crate) async fn hold(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let servers = &context.services.servers;
    let (server, _) = find::server(&context.services, call, &args.needed("server")?).await?;
    let now = Utc::now();
    let length = args.text("for").map(|word| length(&word)).transpose()?;
    let new = NewHold { until: length.map(|length| now + length), reason: args.text("reason") };
    let server = servers.hold(&call.user, server.id, new, now).await?;
    let told = server.held(now).map(page::held).unwrap_or_default();
    let said = format!(
        "{told}\nNothing that acts by itself starts or stops it meanwhile: no schedule, and no restart after a crash. People \
         do, as before."
    );
    Ok(render::done(&format!("{} is held", plain(&server.name)), &said).into())
}

pub(crate) async fn release(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let (server, _) = find::server(&context.services, call, &args.needed("server")?).await?;
    let server = context.services.servers.release(&call.user, server.id, Utc::now()).await?;
    let title = format!("{} is released", plain(&server.name));
    Ok(render::done(&title, "Its schedules act on it again, and it comes back after a crash.").into())
}

fn length(word: &str) -> Result<TimeDelta, Refusal> {
    let listed = LENGTHS.iter().any(|(_, listed)| *listed == word);
    let span = word.parse::<Span>().ok().filter(|_| listed);
    let length = span.and_then(|span| TimeDelta::from_std(span.duration()).ok());
    length.ok_or_else(|| {
        Refusal::refused("Choose from the list how long, or leave `for` out: then `/server release` ends it.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_length_is_read() {
        for (label, word) in LENGTHS {
            assert!(length(word).is_ok_and(|length| length >= TimeDelta::hours(1)), "{label}");
        }
        assert!(length("2 fortnights").is_err());
    }
}
