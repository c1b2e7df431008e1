//! What a typed name means. Whoever chooses from the list sends an id; whoever types sends a name.

use agis_base::{KeyId, Reach, ScheduleId, ServerId};
use agis_scheduler::Schedule;
use agis_servers::{
    Server, ServersError,
    access::Access,
    store::{Page, ServerFilter},
};

use crate::{
    call::Call,
    handler::Services,
    render::text::{cut, plain},
    wording::Refusal,
};

/// How many servers of like names are looked at.
const LOOKED_AT: u32 = 100;
/// The longest name that a server has.
const NAME_MAX: usize = 100;
/// How many are named where it is not clear which is meant.
const NAMED: usize = 5;

/// The server of this id, or else of this name: exactly so, or the only one that begins so.
pub(crate) async fn server(services: &Services, call: &Call, typed: &str) -> Result<(Server, Access), Refusal> {
    if let Some(id) = number(typed) {
        match services.servers.get(&call.user, ServerId(id)).await {
            Err(ServersError::NotFound(_)) => {}
            found => return Ok(found?),
        }
    }
    if typed.chars().count() > NAME_MAX {
        return Err(ServersError::NotFound("server").into());
    }
    let filter = ServerFilter { name: Some(typed.to_owned()), ..ServerFilter::default() };
    let page = Page { after: None, limit: LOOKED_AT };
    let found = services.servers.list(&call.user, &Reach::Every, &filter, page).await?;
    meant(found, typed)
}

fn meant(found: Vec<(Server, Access)>, typed: &str) -> Result<(Server, Access), Refusal> {
    let typed = typed.to_lowercase();
    let (exact, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(server, _)| server.name.to_lowercase() == typed);
    let mut likely = exact;
    if likely.is_empty() {
        likely = others.into_iter().filter(|(server, _)| server.name.to_lowercase().starts_with(&typed)).collect();
    }
    match (likely.pop(), likely.as_slice()) {
        (None, _) => Err(ServersError::NotFound("server").into()),
        (Some(one), []) => Ok(one),
        (Some(last), others) => {
            let all = others.iter().chain([&last]).map(|(server, _)| server);
            let named: Vec<_> = all.take(NAMED).map(|it| format!("{} (#{})", plain(&it.name), it.id)).collect();
            Err(Refusal::Refused(format!(
                "More than one server is meant by this: {}. Choose one from the list that appears as you type, or type \
                 its number.",
                named.join(", ")
            )))
        }
    }
}

/// The schedule of this id.
pub(crate) async fn schedule(services: &Services, call: &Call, typed: &str) -> Result<Schedule, Refusal> {
    let id = number(typed).ok_or_else(|| unknown("schedule", typed, "/schedule list"))?;
    Ok(services.schedules.get(&call.user, &Reach::Every, ScheduleId(id)).await?)
}

/// The id of a key.
pub(crate) fn key(typed: &str) -> Result<KeyId, Refusal> {
    number(typed).map(KeyId).ok_or_else(|| unknown("key", typed, "/apikey list"))
}

/// What a server is called, as far as who asks may know.
pub(crate) async fn name(services: &Services, call: &Call, server: ServerId) -> String {
    let found = services.servers.get(&call.user, server).await;
    found.map_or_else(|_| format!("server {server}"), |(server, _)| server.name)
}

fn unknown(thing: &str, typed: &str, list: &str) -> Refusal {
    let typed = cut(&plain(typed), 100);
    Refusal::Refused(format!(
        "“{typed}” is no {thing}. Choose one from the list that appears as you type, or type its number: `{list}` shows \
         them."
    ))
}

/// `7` or `#7`.
fn number(typed: &str) -> Option<i32> {
    let digits = typed.strip_prefix('#').unwrap_or(typed);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use agis_base::UserId;
    use agis_servers::{Status, server::Desired};

    use super::*;

    fn servers(names: &[&str]) -> Vec<(Server, Access)> {
        let server = |(id, name): (i32, &&str)| Server {
            id: ServerId(id),
            owner: UserId::from_stored("1"),
            name: (*name).to_owned(),
            game_type: "demo".to_owned(),
            description: None,
            is_public: false,
            status: Status::Stopped,
            desired: Desired::Stopped,
            generation: 0,
            host: None,
            endpoint: None,
            error: None,
            cost_per_hour: 0,
            created_at: Default::default(),
            updated_at: Default::default(),
        };
        (1..).zip(names).map(|it| (server(it), Access::Owner)).collect()
    }

    fn found(names: &[&str], typed: &str) -> Option<i32> {
        meant(servers(names), typed).ok().map(|(server, _)| server.id.0)
    }

    #[test]
    fn a_typed_name_is_the_exact_one_or_the_only_one_that_begins_so() {
        assert_eq!(found(&["MyServer", "MyServer 2"], "myserver"), Some(1));
        assert_eq!(found(&["MyServer", "Other"], "my"), Some(1));
        assert_eq!(found(&["A my", "My b"], "my"), Some(2));
        assert_eq!(found(&["A my"], "my"), None);
        assert_eq!(found(&[], "my"), None);
    }

    #[test]
    fn where_two_are_meant_it_says_which() {
        let refusal = meant(servers(&["Tea *one*", "Tea two"]), "tea").expect_err("two are meant");
        let sentence = refusal.sentence(false).expect("a sentence");
        assert!(sentence.contains("Tea \\*one\\* (#1), Tea two (#2)"), "{sentence}");
        assert!(meant(servers(&["x", "X"]), "x").is_err(), "own and shared ones may have one name");
    }

    #[test]
    fn a_number_is_digits_alone() {
        assert_eq!(number("7"), Some(7));
        assert_eq!(number("#7"), Some(7));
        for wrong in ["", "#", "+7", "-7", "7a", "99999999999"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
