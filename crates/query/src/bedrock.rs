//! Status of Minecraft's Bedrock edition: the unconnected ping of RakNet.
//!
//! <https://minecraft.wiki/w/RakNet#Unconnected_Ping>

use std::net::SocketAddr;

use agis_servers::players::Players;

use crate::{QueryError, reader::Reader, udp::Udp};

const PING: u8 = 0x01;
const PONG: u8 = 0x1c;
const MAGIC: [u8; 16] =
    [0x00, 0xff, 0xff, 0x00, 0xfe, 0xfe, 0xfe, 0xfe, 0xfd, 0xfd, 0xfd, 0xfd, 0x12, 0x34, 0x56, 0x78];

pub(crate) async fn players(address: SocketAddr) -> Result<Players, QueryError> {
    // The pong repeats the time of the ping, which therefore is a secret.
    let time = fastrand::u64(..).to_be_bytes();
    let request = [&[PING], &time[..], &MAGIC, &fastrand::u64(..).to_be_bytes()].concat();
    Udp::connect(address).await?.ask(&request, |datagram| pong(datagram, time)).await
}

/// Reads a pong; `None` if it answers another ping.
fn pong(datagram: &[u8], time: [u8; 8]) -> Option<Result<Players, QueryError>> {
    let text = datagram.strip_prefix(&[PONG])?.strip_prefix(&time)?;
    Some(advertised(text))
}

fn advertised(text: &[u8]) -> Result<Players, QueryError> {
    let mut reader = Reader(text);
    reader.bytes(8)?;
    reader.expect(&MAGIC, "RakNet's magic bytes are missing")?;
    let length = u16::from_be_bytes(reader.array()?);
    let text = String::from_utf8_lossy(reader.bytes(length.into())?);
    let fields = fields(&text);
    let number = |place: usize| fields.get(place).and_then(|field| field.parse::<u32>().ok());
    let online = number(4).ok_or(QueryError::Malformed("it has no number of players"))?;
    Ok(Players::new(online, number(5), None))
}

/// Splits the advertisement. The server's name escapes a `;` by a backslash.
fn fields(text: &str) -> Vec<&str> {
    let mut is_escaped = false;
    text.split(|letter: char| {
        let ends = letter == ';' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIME: [u8; 8] = [7; 8];

    fn datagram(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).expect("a short text").to_be_bytes();
        [&[PONG], &TIME[..], &[9; 8], &MAGIC, &length, text.as_bytes()].concat()
    }

    #[test]
    fn pong_tells_the_number_of_players() {
        for (text, players) in [
            (
                "MCPE;Dedicated Server;527;1.19.1;3;10;13253860892328930865;Bedrock level;Survival;1;19132;19133;",
                Some((3, Some(10))),
            ),
            ("MCPE;a\\;b\\;c;527;1.19.1;1;20;0;;", Some((1, Some(20)))),
            ("MCPE;a;527;1.19.1;0", Some((0, None))),
            ("MCPE;a;527;1.19.1;-1;10", None),
            ("MCPE;a;527", None),
            ("", None),
        ] {
            let read = pong(&datagram(text), TIME).expect("an answer to this ping");
            assert_eq!(read.ok().map(|it| (it.online, it.max)), players, "{text}");
        }
    }

    #[test]
    fn pong_of_another_ping_is_no_answer() {
        assert!(pong(&datagram("MCPE;a;1;1;3;10"), [8; 8]).is_none());
        assert!(pong(&[], TIME).is_none());
    }

    #[test]
    fn truncated_pong_is_malformed() {
        let whole = datagram("MCPE;a;527;1.19.1;3;10");
        for end in 9..whole.len() {
            assert!(pong(&whole[..end], TIME).expect("an answer").is_err(), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = pong(&[&[PONG], &TIME[..], &bytes].concat(), TIME);
            let _ = advertised(&[&[0; 8], &MAGIC[..], &bytes].concat());
        }
    }
}
