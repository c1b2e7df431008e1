//! Takes a port.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

/// Names of the settings of an address and a port.
#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    /// Name of the address' setting.
    pub address: &'static str,
    /// Name of the port's setting.
    pub port: &'static str,
}

/// Settings of `/metrics`, `/healthz` and `/readyz`.
pub const METRICS: Chosen = Chosen { address: "METRICS_ADDRESS", port: "METRICS_PORT" };

/// Listens on this address.
///
/// # Errors
/// Returns a sentence for the operator, with the setting that helps.
pub fn listen(address: SocketAddr, chosen: Chosen) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrNotAvailable => format!("set {} to an address of this machine", chosen.address),
            _ => format!("set {} to a port that is free", chosen.port),
        };
        format!("cannot listen on {address}: {error}; {advice}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_setting_that_helps() {
        let taken =
            listen(([127, 0, 0, 1], 0).into(), METRICS).and_then(|it| it.local_addr().map_err(|e| e.to_string()));
        let listener = TcpListener::bind(taken.expect("a port")).expect("it is free again");
        let port = listen(listener.local_addr().expect("an address"), METRICS).expect_err("it is taken");
        assert!(port.ends_with("; set METRICS_PORT to a port that is free"), "{port}");
        // An address reserved for documentation, RFC 5737.
        let address = listen(([203, 0, 113, 9], 0).into(), METRICS).expect_err("it is nobody's");
        assert!(address.ends_with("; set METRICS_ADDRESS to an address of this machine"), "{address}");
    }
}
