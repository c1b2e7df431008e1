//! Finds the thing that a typed name means. A choice from the list sends `#` and an id; a typed text is a name.

use agis_base::{KeyId, Label, Reach, ScheduleId, ServerId};
use agis_scheduler::{Schedule, Target};
use agis_servers::{
    Server, ServersError,
    access::Access,
    store::{Page, ServerFilter},
};

use crate::{
    call::Call,
    context::Services,
    render::text::{cut, plain},
    wording::Refusal,
};

/// Maximum number of servers with similar names that are compared.
const LOOKED_AT: u32 = 100;
/// Maximum length of a server's name.
const NAME_MAX: usize = 100;
/// Maximum number of servers that an ambiguous name lists.
const NAMED: usize = 5;

/// Finds a server by a name or a number among those that the caller may see: the caller's own before those of others, a
/// name before a number, and both before the beginning of a name. `#7` is the number alone, which the list of choices
/// sends.
pub(crate) async fn server(services: &Services, call: &Call, typed: &str) -> Result<(Server, Access), Refusal> {
    let by_number = match number(typed) {
        Some(id) => match services.servers.get(&call.user, ServerId(id)).await {
            Err(ServersError::NotFound(_)) => None,
            found => Some(found?),
        },
        None => None,
    };
    if let Some(found) = by_number.clone().filter(|_| typed.starts_with('#')) {
        return Ok(found);
    }
    if typed.chars().count() > NAME_MAX {
        return Err(ServersError::NotFound("server").into());
    }
    let filter = ServerFilter { name: Some(typed.to_owned()), ..ServerFilter::default() };
    let page = Page { after: None, limit: LOOKED_AT };
    let named = services.servers.list(&call.user, &Reach::Every, &filter, page).await?;
    meant(by_number, named, typed)
}

/// Chooses from the first group that is not empty. If that group has several servers, the name is ambiguous.
fn meant(
    by_number: Option<(Server, Access)>,
    named: Vec<(Server, Access)>,
    typed: &str,
) -> Result<(Server, Access), Refusal> {
    let typed = typed.to_lowercase();
    let (exact, others): (Vec<_>, Vec<_>) =
        named.into_iter().partition(|(server, _)| server.name.to_lowercase() == typed);
    let is_own = |found: &(Server, Access)| found.1 == Access::Owner;
    let (own, shared): (Vec<_>, Vec<_>) = exact.into_iter().partition(is_own);
    let begins = |(server, _): &(Server, Access)| server.name.to_lowercase().starts_with(&typed);
    let numbered = |kind: fn(&Access) -> bool| by_number.iter().filter(|it| kind(&it.1)).cloned().collect();
    let groups = [
        own,
        numbered(|access| *access == Access::Owner),
        shared,
        numbered(|access| matches!(access, Access::Shared(_))),
        others.into_iter().filter(begins).collect(),
        // A public server, of anybody.
        numbered(|_| true),
    ];
    let mut likely: Vec<_> = groups.into_iter().find(|group| !group.is_empty()).unwrap_or_default();
    match (likely.pop(), likely.as_slice()) {
        (None, _) => Err(ServersError::NotFound("server").into()),
        (Some(one), []) => Ok(one),
        (Some(last), others) => {
            let all = others.iter().chain([&last]).map(|(server, _)| server);
            let named: Vec<_> = all.take(NAMED).map(|it| format!("{} (#{})", plain(&it.name), it.id)).collect();
            Err(Refusal::Refused(format!(
                "More than one server is meant by this: {}. Choose one from the list that appears as you type, or type \
                 its number with the `#`.",
                named.join(", ")
            )))
        }
    }
}

/// Returns the schedule of this id.
pub(crate) async fn schedule(services: &Services, call: &Call, typed: &str) -> Result<Schedule, Refusal> {
    Ok(services.schedules.get(&call.user, &Reach::Every, schedule_id(typed)?).await?)
}

/// Reads the id of a schedule.
pub(crate) fn schedule_id(typed: &str) -> Result<ScheduleId, Refusal> {
    number(typed).map(ScheduleId).ok_or_else(|| unknown("schedule", typed, "/schedule list"))
}

/// Reads the id of a key.
pub(crate) fn key(typed: &str) -> Result<KeyId, Refusal> {
    number(typed).map(KeyId).ok_or_else(|| unknown("key", typed, "/apikey list"))
}

/// Returns the name of a server, as far as the caller may know it.
pub(crate) async fn name(services: &Services, call: &Call, server: ServerId) -> String {
    let found = services.servers.get(&call.user, server).await;
    found.map_or_else(|_| format!("server {server}"), |(server, _)| server.name)
}

/// Returns the name of the servers that a schedule acts on, as far as the caller may know them.
pub(crate) async fn target(services: &Services, call: &Call, target: &Target) -> String {
    match target {
        Target::Server(server) => name(services, call, *server).await,
        Target::Labelled { label, .. } => labelled(label),
    }
}

/// Returns the name of all servers with a label.
pub(crate) fn labelled(label: &Label) -> String {
    format!("all servers with the label {label}")
}

fn unknown(thing: &str, typed: &str, list: &str) -> Refusal {
    let typed = cut(&plain(typed), 100);
    Refusal::Refused(format!(
        "“{typed}” is no {thing}. Choose one from the list that appears as you type, or type its number: `{list}` shows \
         them."
    ))
}

/// Reads `7` or `#7`.
fn number(typed: &str) -> Option<i32> {
    let digits = typed.strip_prefix('#').unwrap_or(typed);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use agis_base::UserId;
    use agis_servers::{Permission, Status, server::Desired};

    use super::*;

    fn server(id: i32, name: &str, access: Access) -> (Server, Access) {
        let server = Server {
            id: ServerId(id),
            owner: UserId::from_stored("1"),
            name: name.to_owned(),
            game_type: "demo".to_owned(),
            description: None,
            is_public: false,
            labels: vec![],
            status: Status::Stopped,
            desired: Desired::Stopped,
            generation: 0,
            host: None,
            endpoint: None,
            error: None,
            restart_choice: Default::default(),
            restart: None,
            hold: None,
            idle: None,
            cost_per_hour: 0,
            created_at: Default::default(),
            updated_at: Default::default(),
        };
        (server, access)
    }

    fn shared() -> Access {
        Access::Shared([Permission::Read].into_iter().collect())
    }

    fn own(names: &[&str]) -> Vec<(Server, Access)> {
        (1..).zip(names).map(|(id, name)| server(id, name, Access::Owner)).collect()
    }

    fn found(names: &[&str], typed: &str) -> Option<i32> {
        meant(None, own(names), typed).ok().map(|(server, _)| server.id.0)
    }

    #[test]
    fn name_matches_exactly_or_as_sole_prefix() {
        assert_eq!(found(&["MyServer", "MyServer 2"], "myserver"), Some(1));
        assert_eq!(found(&["MyServer", "Other"], "my"), Some(1));
        assert_eq!(found(&["A my", "My b"], "my"), Some(2));
        assert_eq!(found(&["A my"], "my"), None);
        assert_eq!(found(&[], "my"), None);
    }

    #[test]
    fn own_before_others_and_names_before_numbers() {
        let numbered = |access| Some(server(7, "Other", access));
        let meant = |by_number, named: &[(Server, Access)]| {
            meant(by_number, named.to_vec(), "7").ok().map(|(server, _)| server.id.0)
        };
        let (own, anothers) = (server(1, "7", Access::Owner), server(2, "7", shared()));
        let begins = server(3, "7 days", Access::Owner);
        assert_eq!(meant(numbered(Access::Owner), &[own.clone(), anothers.clone()]), Some(1));
        assert_eq!(meant(numbered(Access::Public), std::slice::from_ref(&anothers)), Some(2));
        assert_eq!(meant(numbered(shared()), std::slice::from_ref(&anothers)), Some(2));
        assert_eq!(
            meant(numbered(Access::Owner), std::slice::from_ref(&anothers)),
            Some(7),
            "nobody hides it by a name"
        );
        assert_eq!(meant(numbered(Access::Public), std::slice::from_ref(&begins)), Some(3));
        assert_eq!(meant(numbered(shared()), std::slice::from_ref(&begins)), Some(7));
        assert_eq!(meant(numbered(Access::Public), &[]), Some(7));
        assert_eq!(meant(None, &[own, anothers]), Some(1));
    }

    #[test]
    fn ambiguous_name_lists_its_matches() {
        let refusal = meant(None, own(&["Tea *one*", "Tea two"]), "tea").expect_err("two are meant");
        let sentence = refusal.sentence(false).expect("a sentence");
        assert!(sentence.contains("Tea \\*one\\* (#1), Tea two (#2)"), "{sentence}");
        let two = vec![server(1, "x", shared()), server(2, "X", shared())];
        assert!(meant(None, two, "x").is_err(), "others may use one name");
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
