//! Server side of Minecraft's Java edition, as far as a gate needs it: the status, its older forms, and the refusal of a login.
//!
//! <https://minecraft.wiki/w/Java_Edition_protocol/Server_List_Ping>
//!
//! Everybody reaches a gate, scanners first of all. A connection gets few bytes and little time, and there are few at once.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use agis_servers::gate::{Door, Gatekeeper};
use async_trait::async_trait;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{read_varint, varint};
use crate::{QueryError, reader::Reader};

/// Maximum number of connections of a gate at once. Further ones are closed.
const CONNECTIONS: usize = 16;
/// The same of all gates together: each takes a file descriptor.
const ALL_CONNECTIONS: usize = 256;
/// The same of one network at one gate, so that one that says nothing leaves places to players. A list of servers needs one.
const OF_ONE_NETWORK: usize = 4;
/// Time for a whole connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time for its first byte, which clients send at once.
const FIRST: Duration = Duration::from_secs(2);
/// Time for which a refusal to wake the server answers further logins: each would ask the database.
const REFUSED: Duration = Duration::from_secs(10);
/// Answer to a player who is not on the list.
const NOT_ADMITTED: &str = "You may not wake this server. Ask its owner.";
/// Maximum size of a packet from outside: an address of 255 letters is the longest part.
const PACKET: usize = 1100;
/// Maximum length of an address, in bytes.
const ADDRESS: usize = 255 * 4;
/// Pause after a connection could not be accepted: there may be no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// First byte of the status request of versions before 1.7. No other connection begins with it.
const LEGACY: u8 = 0xfe;

/// Gates in the protocol of Minecraft's Java edition. All of them together have a bounded number of connections.
#[derive(Debug, Clone)]
pub struct MinecraftGate {
    places: Arc<Semaphore>,
}

impl Default for MinecraftGate {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(ALL_CONNECTIONS)) }
    }
}

#[async_trait]
impl Gatekeeper for MinecraftGate {
    async fn keep(&self, address: &str, port: u16, door: &dyn Door) -> io::Result<()> {
        let listener = TcpListener::bind((address, port)).await?;
        let mut hall = Hall::new(self.places.clone());
        let mut refused: Option<(Instant, String)> = None;
        loop {
            let Login { mut stream, player, held } = hall.until_login(&listener, door).await;
            let answer = match &refused {
                _ if !door.admits(&player) => Err(NOT_ADMITTED.to_owned()),
                Some((at, text)) if at.elapsed() < REFUSED => Err(text.clone()),
                _ => door.join(&player).await.inspect_err(|text| refused = Some((Instant::now(), text.clone()))),
            };
            match answer {
                Err(text) => hall.refuse(stream, text, held),
                Ok(text) => {
                    // The game needs the port.
                    drop(listener);
                    let _ = timeout(PATIENCE, refuse(&mut stream, &text)).await;
                    leave(stream).await;
                    return Ok(());
                }
            }
        }
    }
}

/// Place of a connection among all, and among those of its network. It is held until the connection is closed.
type Held = (OwnedSemaphorePermit, Arc<()>);

/// Connection of a player who joins.
struct Login {
    stream: TcpStream,
    player: String,
    held: Held,
}

/// Connections of a gate that are talked to.
struct Hall {
    places: Arc<Semaphore>,
    visits: JoinSet<Option<Login>>,
    /// Networks that visit: each of their visits holds a clone.
    networks: BTreeMap<IpAddr, Arc<()>>,
}

impl Hall {
    fn new(places: Arc<Semaphore>) -> Self {
        Self { places, visits: JoinSet::new(), networks: BTreeMap::new() }
    }

    /// Answers connections until a player joins.
    async fn until_login(&mut self, listener: &TcpListener, door: &dyn Door) -> Login {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    // The name of the server may have changed.
                    Ok((stream, from)) => self.receive(stream, from.ip(), Sign { text: door.sign() }),
                    Err(_) => sleep(PAUSE).await,
                },
                Some(visited) = self.visits.join_next() => {
                    if let Some(login) = visited.ok().flatten() {
                        return login;
                    }
                }
            }
        }
    }

    /// Talks to a connection if there is a place for it.
    fn receive(&mut self, stream: TcpStream, from: IpAddr, sign: Sign) {
        self.networks.retain(|_, held| Arc::strong_count(held) > 1);
        let network = self.networks.entry(network(from)).or_default();
        let (is_many, network) = (Arc::strong_count(network) > OF_ONE_NETWORK, network.clone());
        match self.places.clone().try_acquire_owned() {
            Ok(place) if !is_many && self.visits.len() < CONNECTIONS => {
                let visit = visit(stream, sign);
                self.visits.spawn(async move {
                    let (stream, player) = visit.await?;
                    Some(Login { stream, player, held: (place, network) })
                });
            }
            _ => abandon(&stream),
        }
    }

    fn refuse(&mut self, mut stream: TcpStream, text: String, held: Held) {
        self.visits.spawn(async move {
            let _ = timeout(PATIENCE, refuse(&mut stream, &text)).await;
            leave(stream).await;
            drop(held);
            None
        });
    }
}

/// Returns the address of a network that one person may have all of: RFC 6177 gives a site a /64 at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

/// Text in the list of servers.
#[derive(Debug)]
struct Sign {
    text: String,
}

/// Answers one connection. Returns it if a player joins.
async fn visit(mut stream: TcpStream, sign: Sign) -> Option<(TcpStream, String)> {
    let talked = timeout(PATIENCE, talk(&mut stream, &sign)).await;
    if let Ok(Ok(Some(player))) = talked {
        return Some((stream, player));
    }
    leave(stream).await;
    None
}

/// Closes a connection so that nothing of it keeps the port.
fn abandon(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Waits until the other side has read everything and closes.
async fn leave(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let gone = async { while matches!(stream.read(&mut [0; 256]).await, Ok(1..)) {} };
    let _ = timeout(Duration::from_secs(1), gone).await;
    abandon(&stream);
}

/// Answers what a client asks. Returns the name of a player who joins.
async fn talk(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), sign: &Sign) -> Result<Option<String>, QueryError> {
    let first = timeout(FIRST, stream.read_u8()).await.map_err(|_| QueryError::Malformed("it says nothing"))??;
    if first == LEGACY {
        stream.write_all(&legacy(sign)).await?;
        return Ok(None);
    }
    let shake = handshake(&packet(stream, Some(first)).await?)?;
    match shake.next {
        Next::Status => {
            let request = packet(stream, None).await?;
            if request != [0] {
                return Err(QueryError::Malformed("it is no request for a status"));
            }
            stream.write_all(&status(sign, shake.version)).await?;
            let ping = packet(stream, None).await?;
            if ping.len() == 9 && ping[0] == 1 {
                stream.write_all(&framed(&ping)).await?;
            }
            Ok(None)
        }
        Next::Login => Ok(Some(login(&packet(stream, None).await?)?)),
    }
}

/// Refuses a login.
async fn refuse(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> io::Result<()> {
    let packet = [vec![0], written(&json!({ "text": text }).to_string())].concat();
    stream.write_all(&framed(&packet)).await
}

/// Begin of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Handshake {
    /// Version of the client's protocol, as it wrote it.
    version: i32,
    next: Next,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Status,
    Login,
}

fn handshake(packet: &[u8]) -> Result<Handshake, QueryError> {
    let mut reader = Reader(packet);
    reader.expect(&[0], "it is no handshake")?;
    let version = signed(&mut reader)?;
    let length = read_varint(&mut reader)?;
    if length > ADDRESS {
        return Err(QueryError::Malformed("its address is too long"));
    }
    reader.bytes(length + 2)?;
    let next = match read_varint(&mut reader)? {
        1 => Next::Status,
        // A player whom another server sends here joins, too.
        2 | 3 => Next::Login,
        _ => return Err(QueryError::Malformed("it asks for something else")),
    };
    Ok(Handshake { version, next })
}

/// Reads the name of a player who joins. Versions differ in what follows it.
fn login(packet: &[u8]) -> Result<String, QueryError> {
    let mut reader = Reader(packet);
    reader.expect(&[0], "it is no login")?;
    let length = read_varint(&mut reader)?;
    let name = reader.bytes(length)?;
    let is_name = (1..=16).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    let name = std::str::from_utf8(name).ok().filter(|_| is_name);
    name.map(str::to_owned).ok_or(QueryError::Malformed("its name is none"))
}

/// Reads a number of 32 bits.
fn signed(reader: &mut Reader<'_>) -> Result<i32, QueryError> {
    let mut number = 0_u32;
    for place in 0..5 {
        let byte = reader.u8()?;
        number |= u32::from(byte & 0x7f).checked_shl(7 * place).unwrap_or_default();
        if byte & 0x80 == 0 {
            return Ok(number.cast_signed());
        }
    }
    Err(QueryError::Malformed("a number is out of range"))
}

/// Reads a packet of a bounded size, whose first byte may have been read.
async fn packet(stream: &mut (impl AsyncRead + Unpin), first: Option<u8>) -> Result<Vec<u8>, QueryError> {
    let mut head = Vec::from_iter(first);
    while head.last().is_none_or(|byte| byte & 0x80 != 0) {
        if head.len() >= 3 {
            return Err(QueryError::Malformed("its length is out of range"));
        }
        head.push(stream.read_u8().await?);
    }
    let length = read_varint(&mut Reader(&head))?;
    if length > PACKET {
        return Err(QueryError::Malformed("it is too long"));
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [varint(packet.len()), packet.to_vec()].concat()
}

fn written(text: &str) -> Vec<u8> {
    [varint(text.len()), text.as_bytes().to_vec()].concat()
}

/// Returns a status with the version of the asker, so that no client shows the server as one of another version.
fn status(sign: &Sign, version: i32) -> Vec<u8> {
    let status = json!({
        "version": { "name": "asleep", "protocol": version },
        "players": { "online": 0, "max": 0 },
        "description": { "text": sign.text },
    });
    framed(&[vec![0], written(&status.to_string())].concat())
}

/// Returns a status in the form of versions 1.4 to 1.6, which those before it cut off at the first NUL.
fn legacy(sign: &Sign) -> Vec<u8> {
    let text = sign.text.replace(['§', '\0'], "");
    let told = format!("§1\0127\0asleep\0{text}\00\00");
    let units: Vec<u16> = told.encode_utf16().collect();
    let length = u16::try_from(units.len()).unwrap_or(u16::MAX);
    let bytes = units.iter().take(length.into()).flat_map(|unit| unit.to_be_bytes());
    [0xff].into_iter().chain(length.to_be_bytes()).chain(bytes).collect()
}

#[cfg(test)]
mod tests;
