//! Messages about keys. A new key is shown once, to its maker.

use agis_apikeys::{ApiKey, Key};
use twilight_model::channel::message::component::Button;

use super::{
    card::{Card, Colour},
    text::{block, code, cut, full, plain, relative},
};
use crate::{answer::Message, pages::Piece};

/// Returns the one message that holds a key.
pub(crate) fn created(key: &Key, stored: &ApiKey, api_url: Option<&str>) -> Message {
    let mut text = format!(
        "{}\nCopy it now: it is kept nowhere and cannot be shown again. Who has it acts in your name.",
        block(key.reveal())
    );
    if let Some(url) = api_url {
        text.push_str(&format!("\nWhat it opens: {url}/api/docs"));
    }
    let card = Card::new(Colour::Good).titled(&format!("Your key {}", plain(&stored.name))).says(&text);
    facts(card, stored).footer(&format!("Key {} · /apikey revoke takes it back", stored.id)).into_message()
}

fn facts(card: Card, key: &ApiKey) -> Card {
    card.fact("May", &scopes(key)).fact("Requests an hour", &key.grant.rate_limit.to_string()).fact("Ends", &end(key))
}

/// Lists keys.
pub(crate) fn list(page: Piece<'_, ApiKey>) -> Message {
    let card = Card::new(Colour::Calm).titled("Your keys");
    if page.items.is_empty() {
        return card.says("You have none. `/apikey create` makes one.").into_message();
    }
    let lines: Vec<_> = page.items.iter().map(line).collect();
    card.lists(&lines).buttons(page.buttons).into_message()
}

fn line(key: &ApiKey) -> String {
    let used = key.last_used.map_or("never used".to_owned(), |at| format!("used {}", relative(at)));
    format!("🔑 **{}** · {} · {} · {used} · ends {}", key.id, plain(&key.name), scopes(key), end(key))
}

/// Asks before a key is revoked.
pub(crate) fn lose(key: &ApiKey, buttons: Vec<Button>) -> Message {
    let text = format!(
        "Key {} · {}\nPrograms that use it are refused from then on. You have five minutes to decide.",
        key.id,
        plain(&key.name)
    );
    Card::new(Colour::Bad).titled("Revoke this key?").says(&text).buttons(buttons).into_message()
}

fn end(key: &ApiKey) -> String {
    key.grant.expires_at.map_or("never".to_owned(), full)
}

fn scopes(key: &ApiKey) -> String {
    let scopes: Vec<_> = key.grant.scopes.iter().map(|scope| scope.to_string()).collect();
    if scopes == ["*"] { "everything".to_owned() } else { code(&cut(&scopes.join(", "), 80)) }
}
