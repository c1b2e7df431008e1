//! The state that all parts of the stand-in share, and its addresses.

use std::net::SocketAddr;

use crate::schema::Schema;
use crate::state::State;

/// Formed as Discord's are: the application's id, a time, a signature.
pub(crate) const TOKEN: &str = "NDAwMDAwMDAwMDAwMDAwMDAx.stand.in";

pub(crate) type Hub = agis_test_support::hub::Hub<Facts, State>;

#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) url: String,
    pub(crate) gateway_url: String,
    /// Discord's OpenAPI document; `None` where there is no copy of it.
    pub(crate) schema: Option<Schema>,
}

impl Facts {
    pub(crate) fn load(rest: SocketAddr, gateway: SocketAddr) -> Self {
        Self { url: format!("http://{rest}"), gateway_url: format!("ws://{gateway}"), schema: Schema::load() }
    }
}
