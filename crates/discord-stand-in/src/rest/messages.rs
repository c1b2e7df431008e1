//! Messages that the bot sends by itself.

use serde_json::Value;

use super::{Answer, Call};
use crate::message::{Message, nonce};
use crate::rules;
use crate::state::{State, keep};
use crate::world::Channel;

/// How many are listed.
const PAGE: usize = 50;

pub(super) fn answer(state: &mut State, call: &Call, channel: &str, rest: &[&str]) -> Answer {
    let channel = channel.parse().unwrap_or_default();
    let Some(place) = state.world.channels.get(&channel) else {
        return Answer::refused(404, 10003, "Unknown Channel");
    };
    let takes_none = matches!(place, Channel::Direct { user } if state.faults.closed_dms.contains(user));
    match (call.method.as_str(), rest) {
        ("GET", []) => Answer::ok(list(state, channel)),
        ("POST", []) if takes_none => Answer::refused(403, 50007, "Cannot send messages to this user"),
        ("POST", []) if state.faults.forbidden.contains(&channel) => Answer::refused(403, 50013, "Missing Permissions"),
        ("POST", []) => send(state, channel, call.body()),
        (method, [id]) => one(state, call, method, channel, id.parse().unwrap_or_default()),
        (method, _) => Answer::unknown(format!("{method} {} is not in this stand-in", call.path)),
    }
}

fn send(state: &mut State, channel: u64, body: &Value) -> Answer {
    if rules::is_empty(body) {
        return Answer::empty_message();
    }
    let nonce = nonce(body).filter(|_| body["enforce_nonce"] == true);
    let sent =
        state.messages.iter().find(|message| nonce.is_some() && message.nonce == nonce && message.channel == channel);
    if let Some(sent) = sent {
        return Answer::ok(sent.json());
    }
    let message = Message::new(state.new_id(), channel, body);
    let answer = Answer::ok(message.json());
    keep(&mut state.messages, message);
    answer
}

fn list(state: &State, channel: u64) -> Value {
    let there = state.messages.iter().rev().filter(|message| message.channel == channel && message.is_shown_to(0));
    there.take(PAGE).map(Message::json).collect()
}

fn one(state: &mut State, call: &Call, method: &str, channel: u64, id: u64) -> Answer {
    // Ephemeral messages can be had by their interaction's token alone.
    let message = state.message_mut(id).filter(|message| message.channel == channel && !message.is_ephemeral());
    let Some(message) = message else {
        return Answer::refused(404, 10008, "Unknown Message");
    };
    on(message, call, method)
}

/// Carries out a request on an existing message, by whichever way it was reached.
pub(super) fn on(message: &mut Message, call: &Call, method: &str) -> Answer {
    match method {
        "PATCH" => {
            message.edit(call.body());
            Answer::ok(message.json())
        }
        "DELETE" => {
            message.deleted = true;
            Answer::nothing()
        }
        "GET" => Answer::ok(message.json()),
        _ => Answer::unknown(format!("{method} {} is not in this stand-in", call.path)),
    }
}
