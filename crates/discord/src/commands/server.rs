//! `/server`

use agis_base::{PowerAction, Reach};
use agis_scheduler::store::Query;
use agis_servers::{
    Label, NewServer, Origin, Server,
    access::{Access, Needed, Permission},
    console::{Begin, WantsAnswer},
    game::SettingValues,
    host::Abilities,
    store::{OperationFilter, Page, ServerFilter},
};

use crate::{
    answer::Answer,
    answer::Follow,
    call::{Args, Call},
    code::{Listed, Loss, confirm},
    commands::{batch, label, schedule},
    context::Context,
    find,
    once::{self, once, send},
    pages::{Piece, read_for},
    render::{
        server as page,
        text::{cut, plain},
    },
    wording::Refusal,
};

/// Maximum number of console lines in a message.
pub(crate) const LINES_MAX: u16 = 50;
const LINES: u32 = 20;
/// Number of operations that `info` shows.
const HISTORY: u32 = 5;
/// Maximum number of games that an unknown game lists.
const GAMES: usize = 5;
/// Maximum number of schedules that are counted.
const COUNTED: u32 = 100;

pub(crate) async fn list(context: &Context, call: &Call, label: Option<Label>, number: u32) -> Result<Answer, Refusal> {
    let servers = &context.services.servers;
    let page = Page { after: None, limit: read_for(number) };
    let filter = ServerFilter { label: label.clone(), ..ServerFilter::default() };
    let found = servers.list(&call.user, &Reach::Every, &filter, page).await?;
    let piece = Piece::of(Listed::Servers(label.clone()), number, &found);
    let shown: Vec<_> = piece.items.iter().map(|(server, access)| (server, *access)).collect();
    let players = servers.players(&shown).await?;
    Ok(page::list(piece, label.as_ref(), &players, servers.catalogue()).into())
}

pub(crate) async fn create(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let servers = &context.services.servers;
    let new = NewServer {
        name: args.needed("name")?,
        game_type: game(context, &args.needed("game")?)?,
        description: args.text("description"),
        is_public: args.flag("public"),
        labels: args.text("labels").map(|typed| label::read(&typed)).transpose()?.unwrap_or_default(),
        settings: SettingValues::new(),
    };
    let server = once(&context.services, call, "server create", |once| async move {
        Ok(servers.create(&call.user, new, Some(&once)).await?)
    })
    .await?;
    Ok(page::created(&server).into())
}

/// Returns the key of a game by its key or its title.
fn game(context: &Context, typed: &str) -> Result<String, Refusal> {
    let typed_so = |text: &str| text.to_lowercase() == typed.to_lowercase();
    let catalogue = context.services.servers.catalogue();
    if let Some(game) = catalogue.games().find(|game| typed_so(&game.key) || typed_so(&game.title)) {
        return Ok(game.key.clone());
    }
    let some: Vec<_> = catalogue.games().take(GAMES).map(|game| plain(&game.title)).collect();
    let typed = cut(&plain(typed), 100);
    Err(Refusal::Refused(format!(
        "There is no game “{typed}” here, but there is {}. Choose one from the list that appears as you type.",
        some.join(", ")
    )))
}

pub(crate) async fn info(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let (server, access) = find::server(services, call, &args.needed("server")?).await?;
    let (mut history, mut shares, mut schedules, mut ahead) = (vec![], vec![], 0, None);
    if access.check(Permission::Read.into()).is_ok() && access != Access::Public {
        let page = Page { after: None, limit: HISTORY };
        history = services.servers.history(&call.user, server.id, OperationFilter::default(), page).await?;
        let query = Query {
            user: call.user.clone(),
            reach: Reach::Every,
            server: Some(server.id),
            kind: None,
            enabled: None,
            alive: true,
            after: None,
            limit: COUNTED,
        };
        schedules = services.schedules.list(&query).await?.len();
        ahead = services.schedules.ahead(&[server.id]).await?.pop();
    }
    if access.check(Needed::Ownership).is_ok() {
        shares = services.servers.shares(&call.user, server.id).await?;
    }
    let catalogue = services.servers.catalogue();
    let players = services.servers.players(&[(&server, access)]).await?.pop().flatten();
    let info = page::Info {
        server: &server,
        access: &access,
        catalogue,
        players: players.as_ref(),
        abilities: &abilities(context, &server).await?,
        why_no_start: services.servers.why_no_start(&server).await?,
        without_gate: !services.servers.without_gate(&[&server]).await?.is_empty(),
        ahead: ahead.as_ref(),
        history: &history,
        schedules,
        shares: &shares,
    };
    Ok(page::info(&info).into())
}

/// Shows who plays, to everybody who sees the server; names only to those who may read its console.
pub(crate) async fn players(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let (server, access) = find::server(services, call, &args.needed("server")?).await?;
    let players = services.servers.players(&[(&server, access)]).await?.pop().flatten();
    let game = services.servers.catalogue().get(&server.game_type);
    let can_tell = game.is_some_and(|game| game.query.is_some());
    Ok(page::players(&server, access, players.as_ref(), can_tell).into())
}

async fn abilities(context: &Context, server: &Server) -> Result<Abilities, Refusal> {
    Ok(context.services.servers.abilities(&[server]).await?.pop().unwrap_or_default())
}

/// Requests an operation, or one for each server with a label. The transaction that accepts it checks the caller's
/// permission.
pub(crate) async fn act(context: &Context, call: &Call, args: &Args, action: PowerAction) -> Result<Answer, Refusal> {
    let typed = match (args.text("server"), label::typed(args)?) {
        (None, Some(label)) => return batch::begin(context, call, args, label, action).await,
        (Some(typed), None) => typed,
        (None, None) => return Err(Refusal::refused("Say which `server` you mean, or the `label` of several.")),
        (Some(_), Some(_)) => return Err(Refusal::refused("Say a `server` or a `label`, not both.")),
    };
    batch::check_no_pace(args)?;
    let (server, _) = find::server(&context.services, call, &typed).await?;
    if let Some(warn) = args.text("warn") {
        return schedule::announced(context, call, &server, action.into(), &warn).await;
    }
    let request = call.request(server.id, action.into(), once::key(call));
    let operation = context.services.servers.request(request).await?;
    Ok(Follow::operation(server, operation).begin())
}

pub(crate) async fn ask_to_delete(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let (server, access) = find::server(&context.services, call, &args.needed("server")?).await?;
    // Only the owner is asked; the confirmation decides.
    access.check(Needed::Ownership).map_err(agis_servers::ServersError::from)?;
    let buttons = confirm(call, Loss::Server(server.id), "Delete it");
    Ok(page::lose(&server, buttons).into())
}

/// Shows the last lines of the console. Another process reads them, unless this one reaches the host.
pub(crate) async fn logs(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let (server, _) = find::server(services, call, &args.needed("server")?).await?;
    let lines = args.number("lines").unwrap_or(LINES).clamp(1, LINES_MAX.into());
    let begin = Begin::Recent { tail: Some(lines), since: None };
    let console = services.servers.console(&call.user, server.id).await?;
    let piece = console.lines(&begin, lines).await.map_err(agis_servers::ServersError::from)?;
    let abilities = abilities(context, &server).await?;
    Ok(page::console(&server, &piece.lines, &abilities).into())
}

/// Sends a command to the game, and shows the answer if the game gives one.
pub(crate) async fn command(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let (server, _) = find::server(services, call, &args.needed("server")?).await?;
    let line = args.line("command")?;
    let command = services.servers.command(&call.user, server.id, Origin::Discord, &line, WantsAnswer::IfAny).await?;
    let answer = send(services, call, server.id, command).await?;
    Ok(page::sent(&server, &line, &answer.sent).into())
}
