//! Messages about servers.

use agis_base::ServerId;
use agis_scheduler::store::ServerAhead;
use agis_servers::{
    Action, Hold, Idle, IdleRule, Label, Operation, Origin, Restart, RestartOn, RestartPolicy, Server, State, Status,
    access::{Access, Grantee, Permission, Permissions, Share},
    console::{Line, Sent},
    game::Catalogue,
    host::{Abilities, Ability, Endpoint, Inability, OpenPort},
    idle::{KeepWindow, WakeOnJoin},
    players::{Measured, Players},
};
use chrono::Utc;
use twilight_model::channel::message::component::{Button, ButtonStyle};

use super::{
    announcement,
    card::{Card, Colour, button},
    operation::{REASON_MAX, went_wrong},
    text::{block, code, cut, full, many, person, plain, printed, relative},
};
use crate::{answer::Message, code::Code, pages::Piece};

/// Maximum length of a list of commands.
const COMMANDS_LENGTH: usize = 300;
/// Maximum length of a list of players.
const NAMES_LENGTH: usize = 300;

/// Announces a new server.
pub(crate) fn created(server: &Server) -> Message {
    let text = "It is yours alone, until you `/server share` it. Start it, or let it start by the clock with \
                `/schedule create`.";
    let card = Card::new(Colour::Calm).titled(&format!("{} is there", plain(&server.name))).says(text);
    card.fact("Game", &plain(&server.game_type))
        .fact("Number", &server.id.to_string())
        .buttons(vec![start(server.id)])
        .into_message()
}

/// Lists servers.
pub(crate) fn list(
    page: Piece<'_, (Server, Access)>,
    label: Option<&Label>,
    players: &[Option<Measured>],
    catalogue: &Catalogue,
) -> Message {
    let with = label.map(|label| format!(" with the label {}", plain(label.as_str()))).unwrap_or_default();
    let card = Card::new(Colour::Calm).titled(&format!("Your servers{with}"));
    if page.items.is_empty() && label.is_some() {
        return card.says("None of your servers has it. `/server settings` gives a server `labels`.").into_message();
    }
    if page.items.is_empty() {
        return card.says("You have none yet. `/server create` makes one.").into_message();
    }
    let lines = page.items.iter().zip(players);
    let lines: Vec<_> =
        lines.map(|((server, access), players)| line(server, access, players.as_ref(), catalogue)).collect();
    card.lists(&lines).buttons(page.buttons).into_message()
}

fn line(server: &Server, access: &Access, players: Option<&Measured>, catalogue: &Catalogue) -> String {
    let shared = if *access == Access::Owner { String::new() } else { format!(" · of {}", person(&server.owner)) };
    let at = server.endpoint.as_ref().filter(|_| server.status == Status::Running);
    let at = at.map(|at| format!(" · {}", address(at))).unwrap_or_default();
    let players = players.map(|it| format!(" · {}", playing(&it.players))).unwrap_or_default();
    let game = game(server, catalogue);
    format!(
        "{} **{}** · {}{at}{players} · {game} · #{}{shared}",
        light(server.status),
        plain(&server.name),
        server.status,
        server.id
    )
}

/// Facts about a server for a reader who may know it.
pub(crate) struct Info<'a> {
    pub(crate) server: &'a Server,
    pub(crate) access: &'a Access,
    pub(crate) catalogue: &'a Catalogue,
    /// Players; `None` if nobody knows who plays.
    pub(crate) players: Option<&'a Measured>,
    /// Abilities, of those in which hosts differ.
    pub(crate) abilities: &'a Abilities,
    /// Reason why a start fails for now; `None` if there is none.
    pub(crate) why_no_start: Option<String>,
    /// Whether it sleeps, and its host has no gate for it.
    pub(crate) without_gate: bool,
    /// Stop or restart that a run of a schedule has ahead; `None` for readers who may not see it.
    pub(crate) ahead: Option<&'a ServerAhead>,
    /// Latest operations; empty for readers who may not see them.
    pub(crate) history: &'a [Operation],
    /// Number of schedules that the reader sees, and whether there are more.
    pub(crate) schedules: usize,
    /// Members and roles that it is shared with; for its owner.
    pub(crate) shares: &'a [Share],
}

/// Shows a server.
pub(crate) fn info(info: &Info<'_>) -> Message {
    let server = info.server;
    let mut card =
        Card::new(colour(server.status)).titled(&format!("{} {}", light(server.status), plain(&server.name)));
    if let Some(text) = &server.description {
        card = card.says(&plain(text));
    }
    card = card.fact("State", server.status.as_str());
    if let Some(at) = &server.endpoint {
        card = card.fact("Address", &address(at));
        let open: Vec<_> = at.public_ports(info.catalogue.get(&server.game_type).map(|game| &**game)).collect();
        if open.len() > 1 {
            card = card.fact("Ports", &ports(&open));
        }
    }
    if let Some(Measured { players, .. }) = info.players {
        card = card.fact("Players", &playing(players));
    }
    if !server.labels.is_empty() {
        card = card.fact("Labels", &in_a_row(&server.labels));
    }
    card = card.fact("Game", &game(server, info.catalogue)).fact("Owner", &person(&server.owner));
    if let Some(error) = &server.error {
        card = card.field("Why", &cut(&plain(error), REASON_MAX));
    }
    let held = server.held(Utc::now());
    if let Some(restart) = &server.restart {
        card = card.field("Comes back", &comes_back(restart, held));
    }
    if let Some(ahead) = info.ahead {
        card = card.field("Ahead", &self::ahead(ahead));
    }
    if let Some(hold) = held {
        card = card.field("Held", &self::held(hold));
    }
    if let Some(idle) = &server.idle {
        card = card.field("When nobody plays", &when_nobody_plays(idle, info.without_gate, server.cost_per_hour));
    }
    let no_start = info.why_no_start.as_ref().map(|why| format!("no start at the moment: {}", plain(why)));
    let lacking: Vec<_> = info.abilities.unable.iter().map(lacks).chain(no_start).collect();
    card = card.field_of("Not possible here", &lacking);
    if *info.access != Access::Public {
        card = card.fact("Schedules", &info.schedules.to_string());
    }
    let history: Vec<_> = info.history.iter().map(told).collect();
    let shares: Vec<_> = info.shares.iter().map(shared).collect();
    card = card.field_of("Who did what", &history).field_of("Shared with", &shares);
    let footer = format!("Number {} · {} an hour", server.id, many(server.cost_per_hour, "credit"));
    let mut buttons = offered(server, info.access, info.why_no_start.is_none());
    let changeable = info.ahead.filter(|_| info.access.permissions().contains(Permission::Schedule));
    buttons
        .extend(changeable.into_iter().flat_map(|ahead| announcement::buttons(ahead.run, Some(ahead.ahead.at), false)));
    card.footer(&footer).buttons(buttons).into_message()
}

/// Describes a stop or a restart that a run has ahead.
fn ahead(it: &ServerAhead) -> String {
    let ServerAhead { run, actor, ahead, .. } = it;
    format!(
        "{}s {}, announced by {}: `/schedule cancel schedule:{}` calls it off.",
        ahead.action,
        relative(ahead.at),
        person(actor),
        run.schedule
    )
}

/// Describes the number of players.
fn playing(players: &Players) -> String {
    let online = i64::from(players.online);
    match players.max {
        Some(max) => format!("{online} of {}", many(max, "player")),
        None => many(online, "player"),
    }
}

/// Shows who plays. `can_tell` says whether the game tells it at all.
pub(crate) fn players(server: &Server, access: Access, measured: Option<&Measured>, can_tell: bool) -> Message {
    let card = Card::new(colour(server.status)).titled(&format!("Players of {}", plain(&server.name)));
    let Some(Measured { players, at }) = measured else {
        let text = match server.status {
            Status::Running if can_tell => {
                "Nobody knows who plays: the game has not answered in the last minute. Right after a start that takes a while."
            }
            Status::Running => "This game does not tell who plays.",
            _ => "The server does not run.",
        };
        return card.says(text).into_message();
    };
    let names: Vec<_> = players.names.iter().flatten().map(|name| plain(name)).collect();
    let why = match &players.names {
        _ if players.online == 0 || !names.is_empty() => "",
        None if access == Access::Public => "\nOnly people with whom the server is shared see their names.",
        _ => "\nThe game does not tell all their names.",
    };
    let text = format!("{}, {}{why}", playing(players), relative(*at));
    card.says(&text).field_of("Names", &names).into_message()
}

/// Describes what a server cannot do, before somebody tries.
fn lacks(Inability { what, why }: &Inability) -> String {
    let refusal = Ability::from_word(what).map_or(what.as_str(), |it| it.refusal());
    format!("{}: {}", plain(refusal), plain(why))
}

fn in_a_row(labels: &[Label]) -> String {
    labels.iter().map(|label| plain(label.as_str())).collect::<Vec<_>>().join(", ")
}

/// Says which labels a server has.
pub(crate) fn labels(server: &Server) -> Message {
    let text = match server.labels.as_slice() {
        [] => "It has none.".to_owned(),
        labels => format!("{}\n`/server list label:` shows all servers with one of them.", in_a_row(labels)),
    };
    Card::new(Colour::Calm).titled(&format!("Labels of {}", plain(&server.name))).says(&text).into_message()
}

/// Describes a hold: its end, who set it, and why.
pub(crate) fn held(Hold { until, reason, by, .. }: &Hold) -> String {
    let until = match until {
        Some(until) => format!("until {}, {}", full(*until), relative(*until)),
        None => "until somebody releases it".to_owned(),
    };
    let reason = reason.as_ref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    format!("{until}, by {}{reason}", person(by))
}

fn comes_back(Restart { at, attempt, of }: &Restart, held: Option<&Hold>) -> String {
    match at {
        Some(_) if held.is_some_and(|hold| hold.until.is_none()) => {
            format!("When somebody releases it, attempt {attempt} of {of}")
        }
        Some(at) => format!("{}, attempt {attempt} of {of}", relative(*at)),
        None => format!("Not by itself any more: it was started again {}.", many(*attempt, "time")),
    }
}

/// Says what follows when a server ends by itself.
pub(crate) fn restarts(server: &Server, RestartPolicy { on, max, within, .. }: &RestartPolicy) -> Message {
    let times = many(*max, "time");
    let text = match on {
        RestartOn::Crash => format!("It is started again after a crash, at most {times} within {within}."),
        RestartOn::Always => {
            format!("It is started again after every end that nobody asked for, at most {times} within {within}.")
        }
        RestartOn::Never => "It stays down when it ends by itself, until somebody starts it.".to_owned(),
    };
    Card::new(Colour::Calm).titled(&format!("Restarts of {}", plain(&server.name))).says(&text).into_message()
}

/// Shows the rule by which a server is stopped when nobody plays.
pub(crate) fn idle(server: &Server) -> Message {
    let text = match &server.idle {
        Some(idle) => when_nobody_plays(idle, false, server.cost_per_hour),
        None => "It runs on when nobody plays. `/server idle` with `after` lets it stop then.".to_owned(),
    };
    Card::new(Colour::Calm).titled(&format!("{} without players", plain(&server.name))).says(&text).into_message()
}

fn when_nobody_plays(idle: &Idle, without_gate: bool, price: i32) -> String {
    let IdleRule { stop_after, keep, wake_on_join } = &idle.rule;
    let gate = match wake_on_join {
        Some(_) if without_gate => {
            " Nobody wakes it by joining at the moment: too many servers of its machine sleep.".to_owned()
        }
        None => String::new(),
        Some(WakeOnJoin { players: None }) => " Everybody who joins wakes it.".to_owned(),
        Some(WakeOnJoin { players: Some(players) }) => {
            format!(" It wakes when one of these joins: {}.", cut(&plain(&players.join(", ")), NAMES_LENGTH))
        }
    };
    let hours: Vec<_> = keep.iter().map(hours).collect();
    let but = if hours.is_empty() { String::new() } else { format!(", but not from {}", hours.join(", or from ")) };
    let asleep = idle.asleep.map(|asleep| format!("\nIt sleeps since {}.", relative(asleep.since))).unwrap_or_default();
    let saved = match idle.saved_credits(price, Utc::now()) {
        0 => String::new(),
        credits => format!("\nThat has saved {}.", many(credits, "credit")),
    };
    format!("It is stopped after {stop_after}{but}.{gate}{asleep}{saved}")
}

fn hours(window: &KeepWindow) -> String {
    format!("{} to {} ({})", window.from(), window.to(), plain(window.timezone()))
}

fn told(operation: &Operation) -> String {
    let how = match operation.state {
        State::Queued => "waits",
        State::Running => "is under way",
        State::Succeeded if operation.killed_after_grace == Some(true) => "done, but the game had to be killed",
        State::Succeeded => "done",
        State::Failed => "failed",
        State::Superseded => "overtaken by a newer one",
        State::Expired => "nobody took it",
    };
    let way = match operation.origin {
        Origin::Discord => "",
        Origin::Rest => " over REST",
        Origin::Schedule => " by schedule",
        Origin::Operator => " by the operator",
        Origin::Supervisor => " after it had ended",
        Origin::Idle => ", since nobody played",
        Origin::Join => ", for a player who joined",
    };
    let mark = if went_wrong(operation.state) { "⚠️ " } else { "" };
    let (who, when) = (person(&operation.actor), relative(operation.created_at));
    format!("{mark}{} · {who}{way} · {when} · {how}", operation.action)
}

fn shared(share: &Share) -> String {
    format!("{} · {}", grantee(&share.grantee), granted(share))
}

/// Names a member or a role without a ping. The role that everybody has is the guild's own.
pub(crate) fn grantee(grantee: &Grantee) -> String {
    match grantee {
        Grantee::Member(user) => person(user),
        Grantee::Role { guild, role } if guild.as_str() == role.as_str() => "everybody in this community".to_owned(),
        Grantee::Role { role, .. } => format!("<@&{role}>"),
    }
}

/// Describes the permissions of a share in words.
pub(crate) fn granted(share: &Share) -> String {
    let permissions = permissions(share.permissions);
    match &share.commands {
        Some(commands) => {
            format!("{permissions}; only the commands {}", cut(&plain(&commands.to_string()), COMMANDS_LENGTH))
        }
        None => permissions,
    }
}

/// Describes permissions in words.
fn permissions(held: Permissions) -> String {
    let all = Permission::ALL.iter().copied().collect::<Permissions>();
    if held == all {
        return "everything but to change or delete it".to_owned();
    }
    let words: Vec<_> = held.iter().filter(|it| *it != Permission::Read).map(Permission::as_str).collect();
    if words.is_empty() { "look at it".to_owned() } else { words.join(", ") }
}

/// Shows the last lines of a console.
pub(crate) fn console(server: &Server, lines: &[Line], abilities: &Abilities) -> Message {
    /// Maximum length of an embed's description, minus the marks of the block.
    const ALL: usize = 3900;
    let card = Card::new(Colour::Calm).titled(&format!("Console of {}", plain(&server.name)));
    let (mut kept, mut length) = (vec![], 0);
    for line in lines.iter().rev() {
        let text = cut(&printed(&line.text), 300);
        length += text.chars().count() + 1;
        if length > ALL {
            break;
        }
        kept.push(text);
    }
    kept.reverse();
    let Some(last) = lines.last() else {
        let lost = abilities.why_not(Ability::PastConsole).filter(|_| server.status != Status::Running);
        let text = match lost {
            Some(why) => format!("It is empty, since {}: {}.", Ability::PastConsole.refusal(), plain(why)),
            None => "It is empty.".to_owned(),
        };
        return card.says(&text).into_message();
    };
    let text = format!("{}\nUp to {}, {}", block(&kept.join("\n")), full(last.at), relative(last.at));
    let lines = i64::try_from(kept.len()).unwrap_or(i64::MAX);
    card.says(&text).footer(&format!("The last {}", many(lines, "line"))).into_message()
}

/// Shows what became of a command.
pub(crate) fn sent(server: &Server, line: &str, sent: &Sent) -> Message {
    /// Maximum length of an answer, so that the message fits with the marks of the block.
    const ALL: usize = 3900;
    let (name, line) = (plain(&server.name), code(&cut(line, 200)));
    let (title, text) = match sent {
        Sent::Typed => {
            let text = format!("{line} was passed on. `/server logs` shows whether the game reacts.");
            (format!("Sent to {name}"), text)
        }
        Sent::Unanswered => {
            let text = format!("{line} was sent, and the game gave no answer in time. It may have acted all the same.");
            (format!("No answer of {name}"), text)
        }
        Sent::Answered(answer) => {
            let lines: Vec<_> = answer.lines().map(printed).collect();
            let answer = cut(lines.join("\n").trim(), ALL);
            let shown = if answer.is_empty() { "It answered without a word.".to_owned() } else { block(&answer) };
            (format!("Answer of {name}"), format!("{line}\n{shown}"))
        }
    };
    Card::new(Colour::Calm).titled(&title).says(&text).into_message()
}

/// Asks before a server is deleted.
pub(crate) fn lose(server: &Server, buttons: Vec<Button>) -> Message {
    let text = format!(
        "**{}** is stopped, and its schedules with it. Its world is kept for seven days. You have five minutes to decide.",
        plain(&server.name)
    );
    Card::new(Colour::Bad).titled("Delete this server?").says(&text).buttons(buttons).into_message()
}

/// Returns the address for players.
pub(super) fn address(at: &Endpoint) -> String {
    code(&format!("{}:{}", at.address, at.port))
}

fn ports(ports: &[&OpenPort]) -> String {
    let told = ports.iter().map(|OpenPort { name, port, protocol }| {
        let protocol = protocol.map(|protocol| format!("/{}", protocol.as_str())).unwrap_or_default();
        format!("{} {}", plain(name), code(&format!("{port}{protocol}")))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn game(server: &Server, catalogue: &Catalogue) -> String {
    plain(catalogue.get(&server.game_type).map_or(server.game_type.as_str(), |game| game.title.as_str()))
}

fn light(status: Status) -> &'static str {
    match status {
        Status::Running => "🟢",
        Status::Starting | Status::Stopping | Status::Deleting => "🟡",
        Status::Stopped => "⚪",
        Status::Crashed | Status::Failed => "🔴",
    }
}

fn colour(status: Status) -> Colour {
    match status {
        Status::Running => Colour::Good,
        Status::Starting | Status::Stopping | Status::Deleting => Colour::Moving,
        Status::Stopped => Colour::Calm,
        Status::Crashed | Status::Failed => Colour::Bad,
    }
}

pub(super) fn start(server: ServerId) -> Button {
    button(ButtonStyle::Success, "Start", Code::Act(Action::Start, server).text())
}

/// Starts a server that sleeps.
pub(super) fn wake(server: ServerId) -> Button {
    button(ButtonStyle::Success, "Wake", Code::Act(Action::Start, server).text())
}

pub(super) fn stop(server: &Server) -> Button {
    button(ButtonStyle::Secondary, "Stop", Code::Act(Action::Stop, server.id).text())
}

pub(super) fn restart(server: &Server) -> Button {
    button(ButtonStyle::Secondary, "Restart", Code::Act(Action::Restart, server.id).text())
}

/// Returns buttons for the actions that the reader may take, as far as is known now.
fn offered(server: &Server, access: &Access, can_start: bool) -> Vec<Button> {
    let may = access.permissions();
    let buttons = match server.status {
        Status::Running | Status::Starting => {
            vec![(Permission::Stop, stop(server)), (Permission::Restart, restart(server))]
        }
        Status::Stopped | Status::Stopping | Status::Crashed | Status::Failed => {
            let comes_back = server.restart.is_some_and(|restart| restart.at.is_some());
            let stop = comes_back.then(|| (Permission::Stop, stop(server)));
            [(Permission::Start, start(server.id))].into_iter().chain(stop).collect()
        }
        Status::Deleting => vec![],
    };
    // A start would fail, and a restart would end the game first.
    let fails = |permission| !can_start && permission != Permission::Stop;
    let button = |(permission, button)| Button { disabled: fails(permission), ..button };
    buttons.into_iter().filter(|(permission, _)| may.contains(*permission)).map(button).collect()
}
