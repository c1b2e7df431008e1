//! `/profile`

use crate::{
    answer::Answer,
    call::Call,
    context::Context,
    render::{
        card::{Card, Colour},
        text::{full, many, plain, relative},
    },
    wording::Refusal,
};

pub(crate) async fn show(context: &Context, call: &Call) -> Result<Answer, Refusal> {
    let accounts = &context.services.accounts;
    let unknown = || Refusal::refused("You are not known here yet. Try again.");
    let user = accounts.get(&call.user).await?.ok_or_else(unknown)?;
    let stats = accounts.stats(&call.user).await?.ok_or_else(unknown)?;
    let servers = format!("{}, {} running", many(stats.servers, "server"), stats.servers_running);
    let last = stats.last_command_at.map(|at| format!("\nthe last {}", relative(at))).unwrap_or_default();
    let card = Card::new(Colour::Calm)
        .titled("Your profile")
        .fact("Credits", &user.credits.to_string())
        .fact("Tier", &plain(&user.tier))
        .fact("Here since", &full(user.joined_at))
        .fact("You have", &format!("{servers}\n{}\n{}", many(stats.schedules, "schedule"), many(stats.keys, "key")))
        .fact("You did", &format!("{}{last}", many(stats.commands_used, "operation")))
        .fact("All in all", &format!("{} earned\n{} spent", stats.credits_earned, stats.credits_spent));
    Ok(card.into_message().into())
}
