//! `/apikey`

use agis_apikeys::{KeyState, NewKey, Scope, Scopes};

use crate::{
    answer::Answer,
    call::{Args, Call},
    code::{Listed, Loss, confirm},
    context::Context,
    find,
    once::once,
    pages::{Piece, read_for},
    render::key as page,
    wording::Refusal,
};

/// Access of a key: label and scopes. REST makes narrower keys.
pub(crate) const ACCESS: &[(&str, &str)] = &[
    ("look at servers and schedules", "read:servers read:schedules"),
    ("act on servers and schedules", "write:servers write:schedules"),
    ("everything, also make and revoke keys", "*"),
];
/// Scopes of a key without a chosen access.
const USUAL: &str = "write:servers write:schedules";

pub(crate) async fn create(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let keys = &context.services.keys;
    let words = args.text("access").unwrap_or_else(|| USUAL.to_owned());
    // Other scopes are for operators, or for keys that REST makes.
    let listed = ACCESS.iter().any(|(_, scopes)| *scopes == words);
    let scopes: Result<Scopes, _> = words.split_whitespace().map(|word| word.parse::<Scope>()).collect();
    let scopes = scopes.ok().filter(|_| listed);
    let scopes = scopes.ok_or_else(|| Refusal::refused("Choose from the list what the key may do."))?;
    let (name, ttl_days) = (args.needed("name")?, args.number("days"));
    let new = NewKey { name, scopes, rate_limit: None, ttl_days, allowed_ips: None };
    let (key, stored) = once(&context.services, call, "apikey create", |once| async move {
        Ok(keys.create(&call.user, None, new, Some(&once)).await?)
    })
    .await?;
    Ok(page::created(&key, &stored, context.settings.api_url.as_deref()).into())
}

pub(crate) async fn list(context: &Context, call: &Call, number: u32) -> Result<Answer, Refusal> {
    let keys = context.services.keys.list(&call.user, Some(KeyState::Active), None, read_for(number)).await?;
    Ok(page::list(Piece::of(Listed::Keys, number, &keys)).into())
}

pub(crate) async fn ask_to_revoke(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let key = context.services.keys.get(&call.user, find::key(&args.needed("key")?)?).await?;
    let buttons = confirm(call, Loss::Key(key.id), "Revoke it");
    Ok(page::lose(&key, buttons).into())
}
