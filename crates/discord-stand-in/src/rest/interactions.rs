//! The first answer to an interaction.

use serde_json::{Value, json};

use super::{Answer, Call};
use crate::message::Message;
use crate::rules;
use crate::state::{self, Kind, State};

const MESSAGE: u64 = 4;
const DEFERRED_MESSAGE: u64 = 5;
const DEFERRED_UPDATE: u64 = 6;
const UPDATE: u64 = 7;
const SUGGESTIONS: u64 = 8;
const MODAL: u64 = 9;

pub(super) fn callback(state: &mut State, call: &Call, id: &str, token: &str) -> Answer {
    let unknown = || Answer::refused(404, 10062, "Unknown interaction");
    let Some((id, interaction)) = id.parse().ok().and_then(|id| Some((id, state.interactions.get(&id)?.clone())))
    else {
        return unknown();
    };
    if interaction.answer.is_some() {
        return Answer::refused(400, 40060, "Interaction has already been acknowledged.");
    }
    if interaction.token != token || interaction.is_late() || interaction.is_over() {
        return unknown();
    }
    let (kind, data) = (call.body()["type"].as_u64().unwrap_or_default(), call.body()["data"].clone());
    if !fits(&interaction, kind) {
        return Answer::invalid(vec![format!("an answer of type {kind} to a {:?}", interaction.kind)]);
    }
    let wrong = if kind == MODAL { rules::modal(&data) } else { vec![] };
    if !wrong.is_empty() {
        return Answer::invalid(wrong);
    }
    if kind == MESSAGE && rules::is_empty(&data) {
        return Answer::empty_message();
    }
    let original = match kind {
        MESSAGE | DEFERRED_MESSAGE => Some(add(state, &interaction, kind, &data)),
        DEFERRED_UPDATE | UPDATE => interaction.source,
        _ => None,
    };
    if let (UPDATE, Some(message)) = (kind, original.and_then(|id| state.message_mut(id))) {
        message.edit(&data);
    }
    if let Some(interaction) = state.interactions.get_mut(&id) {
        interaction.original = original;
        interaction.answer = Some(state::Answer { kind, data });
    }
    if call.asks("with_response") { Answer::ok(response(state, id, kind, original)) } else { Answer::nothing() }
}

fn fits(interaction: &state::Interaction, answer: u64) -> bool {
    match interaction.kind {
        Kind::Command => matches!(answer, MESSAGE | DEFERRED_MESSAGE | MODAL),
        Kind::Component => matches!(answer, MESSAGE | DEFERRED_MESSAGE | DEFERRED_UPDATE | UPDATE | MODAL),
        // A modal opens no other.
        Kind::Modal => {
            matches!(answer, MESSAGE | DEFERRED_MESSAGE)
                || interaction.source.is_some() && matches!(answer, DEFERRED_UPDATE | UPDATE)
        }
        Kind::Autocomplete => answer == SUGGESTIONS,
    }
}

fn add(state: &mut State, interaction: &state::Interaction, kind: u64, data: &Value) -> u64 {
    let id = state.new_id();
    let mut message = match kind {
        MESSAGE => Message::new(id, interaction.channel, data),
        _ => Message::thinking(id, interaction.channel, data),
    };
    message.asked_by = Some(interaction.user);
    state::keep(&mut state.messages, message);
    id
}

fn response(state: &State, id: u64, kind: u64, original: Option<u64>) -> Value {
    let asked = state.interactions.get(&id).map_or(0, |interaction| interaction.kind as u8);
    let message = original.and_then(|id| state.message(id));
    let mut interaction = json!({"id": id.to_string(), "type": asked});
    if let Some(message) = message {
        interaction["response_message_id"] = json!(message.id.to_string());
        interaction["response_message_loading"] = json!(message.is_loading());
        interaction["response_message_ephemeral"] = json!(message.is_ephemeral());
    }
    json!({"interaction": interaction, "resource": {"type": kind, "message": message.map(Message::json)}})
}
