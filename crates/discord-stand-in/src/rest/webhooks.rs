//! Messages of an interaction after its first answer.

use super::{Answer, Call, messages};
use crate::message::Message;
use crate::state::{Interaction, State, keep};
use crate::{APPLICATION, rules};

pub(super) fn answer(
    state: &mut State,
    call: &Call,
    (method, application, token, rest): (&str, &str, &str, &[&str]),
) -> Answer {
    let unknown = || Answer::refused(404, 10015, "Unknown Webhook");
    let Some(interaction) = state.by_token(token).filter(|_| application == APPLICATION.to_string()) else {
        return unknown();
    };
    if interaction.is_over() {
        return Answer::refused(401, 50027, "Invalid Webhook Token");
    }
    if interaction.answer.is_none() {
        return unknown();
    }
    let interaction = interaction.clone();
    match (method, rest) {
        ("POST", []) => follow_up(state, call, &interaction, token),
        (_, ["messages", id]) => {
            let named = if *id == "@original" { interaction.original } else { id.parse().ok() };
            let is_its = |id: &u64| interaction.original == Some(*id) || interaction.follow_ups.contains(id);
            one(state, call, method, named.filter(is_its))
        }
        _ => Answer::unknown(format!("{method} {} is not in this stand-in", call.path)),
    }
}

/// The first one after a deferral takes the place of the "thinking".
fn follow_up(state: &mut State, call: &Call, interaction: &Interaction, token: &str) -> Answer {
    if rules::is_empty(call.body()) {
        return Answer::empty_message();
    }
    let original = interaction.original.and_then(|id| state.message_mut(id));
    if let Some(thinking) = original.filter(|message| message.is_loading()) {
        thinking.edit(call.body());
        return Answer::ok(thinking.json());
    }
    let id = state.new_id();
    let mut message = Message::new(id, interaction.channel, call.body());
    message.asked_by = Some(interaction.user);
    let answer = Answer::ok(message.json());
    keep(&mut state.messages, message);
    if let Some(interaction) = state.by_token(token) {
        interaction.follow_ups.push(id);
    }
    answer
}

fn one(state: &mut State, call: &Call, method: &str, id: Option<u64>) -> Answer {
    let Some(message) = id.and_then(|id| state.message_mut(id)) else {
        return Answer::refused(404, 10008, "Unknown Message");
    };
    messages::on(message, call, method)
}
