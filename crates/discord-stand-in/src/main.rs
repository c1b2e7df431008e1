//! The stand-in for Discord as a program.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};

use agis_discord_stand_in::Discord;
use clap::Parser;

/// Made-up people: ids that Discord gives to nobody. The first owns what `cargo xtask dev` makes.
const PEOPLE: [(u64, &str); 2] = [(100_000_000_000_000_001, "Ann"), (100_000_000_000_000_002, "Ben")];
const ROLE: (u64, &str) = (500_000_000_000_000_001, "Moderators");

/// Stands in for Discord until it is ended. Prints the settings that a bot needs.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port of the REST API and the page; 0 takes a free one
    #[arg(default_value_t = 0)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let Arguments { port } = Arguments::parse();
    let discord = Discord::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?).await?;
    let [ann, _] = PEOPLE.map(|(id, name)| discord.person(id, name));
    discord.set_admin(&ann, true);
    discord.role(ROLE.0, ROLE.1);
    writeln!(io::stdout(), "DISCORD_API_URL={}\nDISCORD_TOKEN={}", discord.url(), discord.token())?;
    std::future::pending().await
}
