//! The stand-in for Discord by itself: prints what a bot needs, then serves until it is ended.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};

use agis_test_support::discord::Discord;

/// Made-up people: ids that Discord gives to nobody. The first owns what `cargo xtask dev` makes.
const PEOPLE: [(u64, &str); 2] = [(100_000_000_000_000_001, "Ann"), (100_000_000_000_000_002, "Ben")];
const ROLE: (u64, &str) = (500_000_000_000_000_001, "Moderators");

/// `discord-stand-in PORT`
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let discord = Discord::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?).await?;
    let [ann, _] = PEOPLE.map(|(id, name)| discord.person(id, name));
    discord.set_admin(&ann, true);
    discord.role(ROLE.0, ROLE.1);
    writeln!(io::stdout(), "DISCORD_API_URL={}\nDISCORD_TOKEN={}", discord.url(), discord.token())?;
    // Whoever started it ends it.
    std::future::pending().await
}
