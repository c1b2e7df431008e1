//! A game with RCON, whose RCON this process is.

use std::sync::{Arc, Mutex};

use agis_test_support::wait;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use super::{SOON, Stack};

/// A game that shows its password on its console, and leaves its RCON to the test. Its port is of this test alone: the
/// host cannot see that another test's RCON takes it later.
pub(crate) fn game() -> String {
    let port = 20_000 + std::process::id() % 6_000 * 2;
    format!(
        r#"
[forts]
title = "Forts"
command = ["sh", "-c", "echo password $RCON; echo up; exec sleep 100000"]
env = {{ RCON = "{{rcon.password}}" }}
ports = [{{ name = "game", port = {port} }}, {{ name = "rcon", offset = 1 }}]
cost_per_hour = 0
ready = {{ when = {{ log = "up" }}, within_s = 60 }}
console = {{ rcon = {{ port = "rcon" }} }}
say = 'say "{{text}}"'
query = {{ rcon = {{ command = "players", sign = '\d+ play', player = '- (.+)' }} }}
"#
    )
}

/// The RCON of a running server.
pub(crate) struct Rcon {
    heard: Arc<Mutex<Vec<String>>>,
    listener: AbortHandle,
}

impl Rcon {
    /// Takes the place of the game's own.
    pub(crate) async fn of(stack: &Stack, server: i64) -> Self {
        let sql = stack.sql().await;
        let query = "select rcon_password, ports::text from game_servers where id = $1::text::int";
        let row = sql.query_one(query, &[&server.to_string()]).await.expect("a server");
        let (password, ports): (String, String) = (row.get(0), row.get(1));
        let ports: Value = serde_json::from_str(&ports).expect("ports");
        let port =
            ports.as_array().and_then(|ports| ports.iter().find(|port| port["name"] == "rcon")?["port"].as_u64());
        let port = u16::try_from(port.expect("a port")).expect("a port");
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a listener");
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, password.clone(), all.clone()));
            }
        });
        Self { heard, listener: task.abort_handle() }
    }

    /// Every command that somebody sent, in order.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("commands").clone()
    }

    /// Waits for a command.
    pub(crate) async fn until_heard(&self, command: &str) {
        let has = || self.heard().iter().any(|heard| heard == command);
        wait::until(SOON, command, async || has().then_some(())).await;
    }

    /// Nobody listens any more.
    pub(crate) fn close(self) {
        self.listener.abort();
    }
}

/// Source's RCON, as <https://developer.valvesoftware.com/wiki/Source_RCON_Protocol> tells. It answers every command with
/// the command itself, but `slow` late, and `quiet` never.
async fn serve(mut stream: TcpStream, password: String, heard: Arc<Mutex<Vec<String>>>) -> Option<()> {
    loop {
        let length = stream.read_i32_le().await.ok()?;
        let (id, kind) = (stream.read_i32_le().await.ok()?, stream.read_i32_le().await.ok()?);
        let mut body = vec![0; usize::try_from(length).ok()? - 8];
        stream.read_exact(&mut body).await.ok()?;
        let body = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
        // AGIS itself asks for the players.
        if kind == 2 && body != "players" {
            heard.lock().ok()?.push(body.clone());
        }
        let (id, kind, answer): (i32, i32, String) = match kind {
            3 => (if body == password { id } else { -1 }, 2, String::new()),
            _ if body == "quiet" => return std::future::pending().await,
            _ if body.is_empty() => (id, 0, String::new()),
            _ if body == "players" => (id, 0, "2 play\n- Ann\n- Bob\n".to_owned()),
            _ => (id, 0, format!("you said {body}")),
        };
        if body == "slow" {
            tokio::time::sleep(std::time::Duration::from_millis(3500)).await;
        }
        let mut packet = i32::try_from(answer.len() + 10).ok()?.to_le_bytes().to_vec();
        packet.extend(id.to_le_bytes());
        packet.extend(kind.to_le_bytes());
        packet.extend(answer.as_bytes());
        packet.extend([0, 0]);
        stream.write_all(&packet).await.ok()?;
    }
}
