use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::{Failure, Result};

const LOCALHOST: &str = "127.0.0.1";

/// The addresses that the programs listen on.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) bind_address: String,
    pub(crate) metrics_address: String,
    pub(crate) api_port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) bot_metrics_port: u16,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self> {
        Ok(Self {
            bind_address: env::var("BIND_ADDRESS").unwrap_or_else(|_| LOCALHOST.to_owned()),
            metrics_address: env::var("METRICS_ADDRESS").unwrap_or_else(|_| LOCALHOST.to_owned()),
            api_port: port("API_PORT", 8080)?,
            metrics_port: port("METRICS_PORT", 8081)?,
            bot_metrics_port: port("BOT_METRICS_PORT", 8082)?,
        })
    }

    /// Checks that the ports are free, before a long build.
    pub(crate) fn check_ports(&self, with_bot: bool) -> Result {
        // Held together, so that one port for two is found out too.
        let _api = claim("API_PORT", &self.bind_address, self.api_port)?;
        let _metrics = claim("METRICS_PORT", &self.metrics_address, self.metrics_port)?;
        let bot = || claim("BOT_METRICS_PORT", &self.metrics_address, self.bot_metrics_port);
        let _bot = with_bot.then(bot).transpose()?;
        Ok(())
    }

    /// `host:port` of REST, for a client on this machine.
    pub(crate) fn api(&self) -> String {
        reachable(&self.bind_address, self.api_port)
    }

    /// `host:port` of the probes and metrics of agis-api.
    pub(crate) fn metrics(&self) -> String {
        reachable(&self.metrics_address, self.metrics_port)
    }

    /// `host:port` of those of agis-bot.
    pub(crate) fn bot_metrics(&self) -> String {
        reachable(&self.metrics_address, self.bot_metrics_port)
    }
}

fn claim(variable: &str, address: &str, port: u16) -> Result<TcpListener> {
    TcpListener::bind((address, port)).map_err(|error| {
        Failure::new(format!(
            "port {port} of {address} cannot be used ({error}). Stop what has it, or choose another one: \
             {variable}={} cargo xtask dev",
            port.wrapping_add(1000)
        ))
    })
}

fn reachable(address: &str, port: u16) -> String {
    match address.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string(),
        Ok(address) => SocketAddr::from((address, port)).to_string(),
        Err(_) => format!("{address}:{port}"),
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
