//! Status of Minecraft's Java edition.
//!
//! <https://minecraft.wiki/w/Java_Edition_protocol/Server_List_Ping>

pub(crate) mod gate;

use std::net::SocketAddr;

use agis_servers::players::Players;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{QueryError, reader::Reader};

/// Maximum size of a status: one with a picture and the list of mods stays below.
const STATUS: usize = 512 * 1024;
/// Number of the protocol's version: the asker has none.
const ANY_VERSION: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
/// Maximum length of the address in a handshake.
const ADDRESS: usize = 255;

pub(crate) async fn players(host: &str, address: SocketAddr) -> Result<Players, QueryError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&request(host, address.port())).await?;
    read(&packet(&mut stream).await?)
}

/// Returns a handshake that asks for the status, and the request.
fn request(host: &str, port: u16) -> Vec<u8> {
    let host = host.get(..ADDRESS).unwrap_or(host).as_bytes();
    let handshake = [&[0], &ANY_VERSION[..], &varint(host.len()), host, &port.to_be_bytes(), &[1]].concat();
    [varint(handshake.len()), handshake, vec![1, 0]].concat()
}

/// Reads a packet of a bounded size.
async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, QueryError> {
    let mut head = vec![];
    while head.last().is_none_or(|byte| byte & 0x80 != 0) {
        head.push(stream.read_u8().await?);
        if head.len() > 5 {
            return Err(QueryError::Malformed("its length is out of range"));
        }
    }
    let length = read_varint(&mut Reader(&head))?;
    if length > STATUS {
        return Err(QueryError::Malformed("it is longer than 512 KiB"));
    }
    // Memory grows with the bytes that come, not with the length that is claimed.
    let mut packet = vec![];
    stream.take(length as u64).read_to_end(&mut packet).await?;
    if packet.len() < length {
        return Err(QueryError::Malformed("it ends too early"));
    }
    Ok(packet)
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = vec![];
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

fn read_varint(reader: &mut Reader<'_>) -> Result<usize, QueryError> {
    let mut number = 0;
    for place in 0..5 {
        let byte = reader.u8()?;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            // A negative number is one of 32 bits whose highest bit is set.
            let positive = i32::try_from(number).ok().and_then(|number| usize::try_from(number).ok());
            return positive.ok_or(QueryError::Malformed("a length is out of range"));
        }
    }
    Err(QueryError::Malformed("a length is out of range"))
}

#[derive(Deserialize)]
struct Status {
    /// `None` if the server hides its players.
    players: Option<StatusPlayers>,
}

#[derive(Deserialize)]
struct StatusPlayers {
    online: u32,
    max: i64,
    /// A few of the players, or lines of an advertisement.
    sample: Option<Vec<SamplePlayer>>,
}

#[derive(Deserialize)]
struct SamplePlayer {
    name: String,
}

fn read(packet: &[u8]) -> Result<Players, QueryError> {
    let mut reader = Reader(packet);
    reader.expect(&[0], "it is no status")?;
    let length = read_varint(&mut reader)?;
    let text = reader.bytes(length)?;
    let status: Status = serde_json::from_slice(text).map_err(|_| QueryError::Malformed("its JSON is no status"))?;
    let players = status.players.ok_or(QueryError::Malformed("the server hides its players"))?;
    let sample = players.sample.unwrap_or_default();
    // A sample that names some of the players is no list of them.
    let is_whole = u32::try_from(sample.len()) == Ok(players.online);
    let names = is_whole.then(|| sample.iter().map(|player| plain(&player.name)).collect());
    Ok(Players::new(players.online, u32::try_from(players.max).ok(), names))
}

/// Returns a name without its colours (`§c`).
fn plain(name: &str) -> String {
    let mut letters = name.chars();
    std::iter::from_fn(|| {
        loop {
            match letters.next()? {
                '§' => {
                    letters.next();
                }
                letter => return Some(letter),
            }
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(json: &str) -> Vec<u8> {
        [&[0], &varint(json.len())[..], json.as_bytes()].concat()
    }

    #[test]
    fn status_tells_who_plays() {
        let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        for (json, players) in [
            (r#"{"players":{"online":0,"max":20}}"#, Some((0, Some(20), named(&[])))),
            (
                r#"{"players":{"online":1,"max":20,"sample":[{"name":"§cAnn","id":"x"}]},"favicon":"x"}"#,
                Some((1, Some(20), named(&["Ann"]))),
            ),
            (r#"{"players":{"online":20,"max":-1,"sample":[{"name":"Ann"}]}}"#, Some((20, None, None))),
            (r#"{"players":{"online":-1,"max":20}}"#, None),
            (r#"{"players":{"online":"many","max":20}}"#, None),
            (r#"{"version":{"name":"1.21"}}"#, None),
            ("[", None),
            ("", None),
        ] {
            let read = read(&status(json)).ok().map(|it| (it.online, it.max, it.names));
            assert_eq!(read, players, "{json}");
        }
        assert!(read(&status(&"[".repeat(100_000))).is_err());
    }

    #[tokio::test]
    async fn packets_end_where_they_say() {
        let long = varint(STATUS + 1);
        for bytes in [&long[..], &[0xff; 6], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[5, 0, 1], &[]] {
            assert!(packet(&mut &bytes[..]).await.is_err(), "{bytes:?}");
        }
        assert_eq!(packet(&mut &[2, 7, 8, 9][..]).await.expect("two bytes"), [7, 8]);
    }

    #[test]
    fn request_is_a_handshake_and_a_question() {
        let expected = b"\x14\x00\xff\xff\xff\xff\x0f\x0910.0.0.70\x63\xdd\x01\x01\x00".as_slice();
        let asked = request("10.0.0.70", 25_565);
        assert_eq!(usize::from(asked[0]), asked.len() - 3);
        assert_eq!(asked[1..], expected[1..]);
    }

    proptest! {
        #[test]
        fn lengths_are_read_as_written(number in 0usize..=0x7fff_ffff) {
            prop_assert_eq!(read_varint(&mut Reader(&varint(number))).expect("a number"), number);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let _ = read(&status(&String::from_utf8_lossy(&bytes)));
            let _ = read_varint(&mut Reader(&bytes));
        }
    }
}
