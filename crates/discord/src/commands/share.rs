//! `/server share`, `/server unshare`, `/server leave`

use agis_base::{RoleId, UserId};
use agis_servers::{
    ServersError,
    access::{CommandList, Granted, Grantee, Permission},
};

use crate::{
    answer::Answer,
    call::{Args, Call, Mentioned},
    context::Context,
    find,
    once::once,
    render::{
        self,
        server::{granted as in_words, grantee as named},
        text::{person, plain},
    },
    wording::Refusal,
};

/// Permissions that can be shared: label and word.
pub(crate) const MAY: &[(&str, &str)] = &[
    ("everything but to change or delete it", "everything"),
    ("start", "start"),
    ("stop", "stop"),
    ("restart", "restart"),
    ("send commands to its game", "console"),
    ("make schedules for it", "schedule"),
    ("look at it: state, address, console", "read"),
];

pub(crate) async fn share(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let (server, _) = find::server(services, call, &args.needed("server")?).await?;
    let grantee = grantee(call, args)?;
    let share = services.servers.share(&call.user, server.id, &grantee, granted(args)?).await?;
    let said = format!(
        "{} may now do this on **{}**: {}. `/server unshare` takes it back.",
        named(&share.grantee),
        plain(&server.name),
        in_words(&share)
    );
    Ok(render::done("Shared", &said).into())
}

pub(crate) async fn unshare(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let (server, _) = find::server(services, call, &args.needed("server")?).await?;
    let grantee = grantee(call, args)?;
    let (who, name) = (named(&grantee), plain(&server.name));
    // A second process would find nothing to take back, and might say so first.
    let unshare = |_| async { Ok(services.servers.unshare(&call.user, server.id, &grantee).await?) };
    let said = if once(services, call, "server unshare", unshare).await? {
        format!("**{name}** is not shared with {who} any more.")
    } else {
        format!("**{name}** was not shared with {who}. `/server info` shows with whom it is.")
    };
    Ok(render::done("Not shared", &said).into())
}

/// Gives up a share of others with the caller.
pub(crate) async fn leave(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let (server, _) = find::server(services, call, &args.needed("server")?).await?;
    // As for unsharing: a second process would find nothing to leave.
    let leave = |_| async { Ok(services.servers.leave(&call.user, server.id).await?) };
    let left = once(services, call, "server leave", leave).await?;
    let said = format!(
        "**{}** is not shared with you any more. {} can share it with you by name again.",
        plain(&left.name),
        person(&left.owner)
    );
    Ok(render::done("Left", &said).into())
}

fn granted(args: &Args) -> Result<Granted, Refusal> {
    let word = args.needed("may")?;
    let permissions = match Permission::from_word(&word) {
        _ if word == "everything" => Permission::ALL.iter().copied().collect(),
        Some(permission) => [permission].into_iter().collect(),
        None => return Err(Refusal::refused("Choose from the list what they may do.")),
    };
    let listed = |text: String| CommandList::new(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
    let commands = args.text("commands").map(listed).transpose();
    let commands = commands.map_err(|rule| ServersError::Invalid { field: "commands", rule })?;
    Ok(Granted { permissions, commands })
}

fn grantee(call: &Call, args: &Args) -> Result<Grantee, Refusal> {
    match (args.mentioned("with"), &call.member) {
        (Some(Mentioned::User(id)), _) => Ok(Grantee::Member(UserId::from_stored(&id.to_string()))),
        (Some(Mentioned::Role(id)), Some(member)) => {
            Ok(Grantee::Role { guild: member.guild.clone(), role: RoleId::from_stored(&id.to_string()) })
        }
        (Some(Mentioned::Role(_)), None) => Err(Refusal::refused("Share with a role in the community that has it.")),
        (None, _) => Err(Refusal::refused("Choose a member or a role from the list that appears as you type.")),
    }
}
