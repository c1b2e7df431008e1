//! A proxy that nobody has named: its requests all come from one address, and share that address's limits.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use actix_web::{
    dev::ServiceRequest,
    http::header::{FORWARDED, HeaderName},
    web::Data,
};

use crate::server::Services;

const HEADERS: [HeaderName; 2] = [HeaderName::from_static("x-forwarded-for"), FORWARDED];

/// The first peer that sent a header which only proxies send, and whose word does not count. Any client can do so, so that it
/// is told and changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Unnamed(Arc<OnceLock<IpAddr>>);

impl Unnamed {
    /// Its address, if there was one.
    pub fn peer(&self) -> Option<IpAddr> {
        self.0.get().copied()
    }

    fn tell(&self, peer: IpAddr) {
        if self.0.set(peer).is_ok() {
            tracing::warn!(
                %peer,
                "a request came through a proxy that is not in TRUSTED_PROXIES; if it is yours, name it there, else its \
                 clients all have its address"
            );
        }
    }
}

/// Looks for the first of them.
pub(crate) fn notice(request: &ServiceRequest) {
    if !HEADERS.iter().any(|name| request.headers().contains_key(name)) {
        return;
    }
    let Some(services) = request.app_data::<Data<Services>>() else { return };
    let Some(peer) = request.peer_addr().map(|peer| peer.ip().to_canonical()) else { return };
    let edge = &services.edge;
    if edge.unnamed.peer().is_none() && !edge.trusted_proxies.iter().any(|block| block.contains(peer)) {
        edge.unnamed.tell(peer);
    }
}
