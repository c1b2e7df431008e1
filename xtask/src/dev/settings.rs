use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::{Failure, Result};

const LOCALHOST: &str = "127.0.0.1";

/// Where the programs listen.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) bind_address: String,
    pub(crate) api_port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) bot_metrics_port: u16,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self> {
        Ok(Self {
            bind_address: env::var("BIND_ADDRESS").unwrap_or_else(|_| LOCALHOST.to_owned()),
            api_port: port("API_PORT", 8080)?,
            metrics_port: port("METRICS_PORT", 8081)?,
            bot_metrics_port: port("BOT_METRICS_PORT", 8082)?,
        })
    }

    /// Whether the programs can have their ports: better known before a long build than after it.
    pub(crate) fn check_ports(&self, with_bot: bool) -> Result {
        // Held together, so that one port for two is found out too.
        let _api = self.claim("API_PORT", self.api_port)?;
        let _metrics = self.claim("METRICS_PORT", self.metrics_port)?;
        let _bot = with_bot.then(|| self.claim("BOT_METRICS_PORT", self.bot_metrics_port)).transpose()?;
        Ok(())
    }

    fn claim(&self, variable: &str, port: u16) -> Result<TcpListener> {
        TcpListener::bind((self.bind_address.as_str(), port)).map_err(|error| {
            Failure::new(format!(
                "port {port} of {} cannot be used ({error}). Stop what has it, or choose another one: \
                 {variable}={} cargo xtask dev",
                self.bind_address,
                port.wrapping_add(1000)
            ))
        })
    }

    pub(crate) fn api_url(&self) -> String {
        format!("http://{}", self.reachable(self.api_port))
    }

    pub(crate) fn metrics_url(&self) -> String {
        format!("http://{}", self.reachable(self.metrics_port))
    }

    /// `host:port` for a client on this machine.
    pub(crate) fn reachable(&self, port: u16) -> String {
        match self.bind_address.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string(),
            Ok(address) => SocketAddr::from((address, port)).to_string(),
            Err(_) => format!("{}:{port}", self.bind_address),
        }
    }
}

fn port(variable: &str, default: u16) -> Result<u16> {
    match env::var(variable) {
        Err(_) => Ok(default),
        Ok(value) => value
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| Failure::new(format!("{variable} is `{value}`, which is no port (1 to 65535)"))),
    }
}
