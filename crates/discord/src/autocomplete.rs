//! Suggests values: only things that the caller may see, the likely ones first.

use std::collections::BTreeSet;

use agis_apikeys::KeyState;
use agis_base::Reach;
use agis_scheduler::{Timing, Zone, store::Query, zone};
use agis_servers::{
    Label,
    access::Needed,
    store::{Page, ServerFilter},
};
use chrono::Utc;
use twilight_model::application::command::CommandOptionChoice;

use crate::{
    call::{Args, Call},
    commands::schedule::named,
    context::Services,
    definitions::choice,
    find,
    render::{
        schedule::{doing, words},
        settings::own_settings,
        text::bare,
    },
    wording::Refusal,
};

/// Suggestions.
pub(crate) type Choices = Vec<CommandOptionChoice>;

/// Maximum number and length of choices, set by Discord.
const CHOICES_MAX: usize = 25;
const CHOICE_MAX: usize = 100;
/// Maximum number of schedules and keys that are searched.
const SEARCHED: u32 = 100;

/// Common timings. Their labels come from the expression.
const PRESETS: &[&str] = &[
    "0 8 * * *",
    "0 18 * * *",
    "0 22 * * *",
    "0 0 * * *",
    "0 4 * * *",
    "0 8 * * 1-5",
    "0 18 * * 5",
    "0 10 * * 6,0",
    "30 20 * * 1,5",
    "0 */6 * * *",
    "0 * * * *",
    "*/15 * * * *",
    "0 4 * * 1",
    "0 4 1 * *",
];

/// Common zones, before the user has typed anything.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Warsaw",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
];

/// Suffix of the title of a game that cannot be played at the moment.
const UNAVAILABLE: &str = " · not available now";

/// Returns the choices for the option that is being typed.
pub(crate) async fn choices(services: &Services, call: &Call, command: &str, args: &Args) -> Result<Choices, Refusal> {
    let Some((option, typed)) = args.focused() else { return Ok(vec![]) };
    match option {
        "server" => servers(services, call, command, &typed).await,
        "game" => games(services, &typed).await,
        "label" | "labels" => labels(services, call, option, &typed).await,
        "reset" => chosen_settings(services, call, args, &typed).await,
        "schedule" => schedules(services, call, command, &typed).await,
        "key" => keys(services, call, &typed).await,
        "cron" => Ok(crons(&typed, args.text("timezone").as_deref())),
        "timezone" => Ok(zones(&typed)),
        _ => Ok(vec![]),
    }
}

/// Suggests servers: the caller's own first; only one kind if the command is about one. A choice sends `#7`, which
/// nobody types as a name.
async fn servers(services: &Services, call: &Call, command: &str, typed: &str) -> Result<Choices, Refusal> {
    if typed.chars().count() > CHOICE_MAX {
        return Ok(vec![]);
    }
    let owned = match command {
        "server delete" | "server share" | "server unshare" => Some(true),
        "server leave" => Some(false),
        _ => None,
    };
    let name = (!typed.is_empty()).then(|| typed.to_owned());
    let filter = ServerFilter { name, owned, ..ServerFilter::default() };
    let page = Page { after: None, limit: CHOICES_MAX as u32 };
    let found = services.servers.list(&call.user, &Reach::Every, &filter, page).await?;
    let one = |name: &str, status, id: i32| {
        let status = format!(" · {status}");
        choice(&format!("{}{status}", bare(name, CHOICE_MAX - status.len())), &format!("#{id}"))
    };
    Ok(found.iter().map(|(server, _)| one(&server.name, server.status, server.id.0)).collect())
}

/// Suggests labels that the caller's servers have. Of several labels with commas between them, the last one is completed.
async fn labels(services: &Services, call: &Call, option: &str, typed: &str) -> Result<Choices, Refusal> {
    let (before, last) = match typed.rsplit_once(',') {
        Some((before, last)) if option == "labels" => (format!("{}, ", before.trim()), last.trim()),
        _ => (String::new(), typed),
    };
    let page = Page { after: None, limit: SEARCHED };
    let found = services.servers.list(&call.user, &Reach::Every, &ServerFilter::default(), page).await?;
    let labels: BTreeSet<_> = found.iter().flat_map(|(server, _)| &server.labels).map(Label::as_str).collect();
    let fits = labels.into_iter().filter(|label| has(label, last)).map(|label| format!("{before}{label}"));
    let fits = fits.filter(|text| text.chars().count() <= CHOICE_MAX);
    Ok(fits.map(|text| choice(&bare(&text, CHOICE_MAX), &text)).take(CHOICES_MAX).collect())
}

/// Suggests games. Those that cannot be played at the moment come last, and say so; a user who chooses one gets the
/// reason.
async fn games(services: &Services, typed: &str) -> Result<Choices, Refusal> {
    let unavailable = services.servers.unavailable_games().await?;
    let games = services.servers.catalogue().games();
    let found = games.filter(|game| has(&game.title, typed) || has(&game.key, typed));
    let (last, first): (Vec<_>, Vec<_>) = found.partition(|game| unavailable.contains_key(&game.key));
    let first = first.into_iter().map(|game| choice(&bare(&game.title, CHOICE_MAX), &game.key));
    let last = last.into_iter().map(|game| {
        let title = bare(&game.title, CHOICE_MAX - UNAVAILABLE.chars().count());
        choice(&format!("{title}{UNAVAILABLE}"), &game.key)
    });
    Ok(first.chain(last).take(CHOICES_MAX).collect())
}

/// Suggests the settings that the caller has chosen a value for, on the server that the command names.
async fn chosen_settings(services: &Services, call: &Call, args: &Args, typed: &str) -> Result<Choices, Refusal> {
    let Some(server) = args.text("server") else { return Ok(vec![]) };
    let (server, access) = find::server(services, call, &server).await?;
    if access.check(Needed::Ownership).is_err() {
        return Ok(vec![]);
    }
    let settings = services.servers.settings(&call.user, server.id).await?;
    let chosen = own_settings(&settings).filter(|it| it.is_chosen).map(|it| &it.setting);
    let matching = chosen.filter(|setting| has(&setting.title, typed) || has(&setting.name, typed));
    Ok(matching.map(|setting| choice(&bare(&setting.title, CHOICE_MAX), &setting.name)).take(CHOICES_MAX).collect())
}

/// Suggests schedules. Those that the command would change come first: `enable` wants disabled ones.
async fn schedules(services: &Services, call: &Call, command: &str, typed: &str) -> Result<Choices, Refusal> {
    let enabled = match command {
        "schedule enable" => Some(false),
        "schedule disable" => Some(true),
        _ => None,
    };
    let query = Query {
        user: call.user.clone(),
        reach: Reach::Every,
        server: None,
        kind: None,
        enabled,
        alive: false,
        after: None,
        limit: SEARCHED,
    };
    let found = named(services, call, services.schedules.list(&query).await?).await?;
    let described = found.iter().map(|(schedule, server)| {
        let text = format!("{} {server} · {} · #{}", doing(&schedule.work), words(schedule), schedule.id);
        (text, schedule.id)
    });
    let matching = described.filter(|(text, _)| has(text, typed));
    Ok(matching.map(|(text, id)| choice(&bare(&text, CHOICE_MAX), &id.to_string())).take(CHOICES_MAX).collect())
}

async fn keys(services: &Services, call: &Call, typed: &str) -> Result<Choices, Refusal> {
    let found = services.keys.list(&call.user, Some(KeyState::Active), None, SEARCHED).await?;
    let found = found.iter().filter(|key| has(&key.name, typed) || key.id.to_string() == typed);
    let one = |name: &str, id: i32| choice(&bare(&format!("{name} · key {id}"), CHOICE_MAX), &id.to_string());
    Ok(found.map(|key| one(&key.name, key.id.0)).take(CHOICES_MAX).collect())
}

/// Suggests the typed expression if it is valid, and presets that match in words.
fn crons(typed: &str, zone: Option<&str>) -> Choices {
    let zone = zone.filter(|zone| Timing::parse("@daily", zone).is_ok()).unwrap_or("UTC");
    let typed = typed.trim_matches(['"', '\'', '“', '”', '`', ' ']);
    let own = Timing::parse(typed, zone).ok().map(|timing| timing.cron).into_iter();
    let presets = PRESETS.iter().filter(|preset| **preset != typed).filter_map(|preset| preset.parse().ok());
    let presets = presets
        .filter(|cron: &agis_scheduler::CronExpression| has(&cron.to_string(), typed) || has(&cron.words(), typed));
    let one = |cron: agis_scheduler::CronExpression| {
        choice(&bare(&format!("{} · {cron}", cron.words()), CHOICE_MAX), &cron.to_string())
    };
    own.chain(presets).map(one).take(CHOICES_MAX).collect()
}

/// Suggests zones with their current time, by which people recognise their own.
fn zones(typed: &str) -> Choices {
    let typed = typed.replace(' ', "_");
    let data = zone::current();
    let city = |name: &&str| name.rsplit('/').next().is_some_and(|city| begins(city, &typed));
    let wanted = |name: &&str| has(name, &typed);
    let mut found: Vec<&str> = ZONES.iter().copied().filter(wanted).collect();
    if !typed.is_empty() {
        let all = data.names().iter().map(String::as_str);
        let (first, others): (Vec<&str>, Vec<&str>) = all.filter(wanted).partition(city);
        found.retain(city);
        for name in first.into_iter().chain(others) {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    let now = Utc::now();
    let one = |zone: Zone| {
        let here = zone.local(now);
        choice(&format!("{zone} · {} ({})", here.format("%H:%M"), here.offset()), zone.name())
    };
    found.into_iter().filter_map(|name| data.zone(name)).map(one).take(CHOICES_MAX).collect()
}

fn has(text: &str, typed: &str) -> bool {
    text.to_lowercase().contains(&typed.to_lowercase())
}

fn begins(text: &str, typed: &str) -> bool {
    text.to_lowercase().starts_with(&typed.to_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use twilight_model::application::command::CommandOptionChoiceValue;

    use super::*;

    fn values(choices: &Choices) -> Vec<&str> {
        choices
            .iter()
            .map(|choice| match &choice.value {
                CommandOptionChoiceValue::String(value) => value.as_str(),
                _ => "",
            })
            .collect()
    }

    #[test]
    fn every_preset_has_words_of_its_own() {
        let choices = crons("", None);
        assert_eq!(choices.len(), PRESETS.len());
        assert!(choices[0].name.starts_with("every day at 08:00"), "{}", choices[0].name);
    }

    #[test]
    fn typed_expression_is_offered_with_its_words() {
        let choices = crons("\"15 9 * * 1\"", Some("Europe/Berlin"));
        assert_eq!(values(&choices), ["15 9 * * 1"]);
        assert!(choices[0].name.starts_with("Mondays at 09:15"), "{}", choices[0].name);
        assert_eq!(values(&crons("fridays", None)), ["0 18 * * 5", "30 20 * * 1,5"]);
    }

    #[test]
    fn city_is_found_before_partial_matches() {
        assert_eq!(values(&zones("new york"))[0], "America/New_York");
        assert_eq!(values(&zones("ber"))[0], "Europe/Berlin");
        assert_eq!(values(&zones(""))[0], "UTC");
        assert!(zones("no such place").is_empty());
    }

    #[test]
    fn every_zone_that_is_offered_first_is_one() {
        assert_eq!(values(&zones("")), ZONES);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn discord_takes_whatever_is_offered(typed in "\\PC{0,120}|[a-z0-9*/, -]{0,20}") {
            for choices in [crons(&typed, Some(&typed)), zones(&typed)] {
                prop_assert!(choices.len() <= CHOICES_MAX);
                for (choice, value) in choices.iter().zip(values(&choices)) {
                    prop_assert!((1..=CHOICE_MAX).contains(&choice.name.chars().count()));
                    prop_assert!((1..=CHOICE_MAX).contains(&value.chars().count()));
                }
            }
        }
    }
}
