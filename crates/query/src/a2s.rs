//! Valve's A2S: `A2S_INFO` tells how many play, `A2S_PLAYER` tells who.
//!
//! <https://developer.valvesoftware.com/wiki/Server_queries>

use std::net::SocketAddr;

use agis_servers::players::Players;

use crate::{QueryError, reader::Reader, udp::Udp};

const SINGLE: &[u8] = &[0xff; 4];
const SPLIT: &[u8] = &[0xfe, 0xff, 0xff, 0xff];
const INFO: &[u8] = b"TSource Engine Query\0";
const PLAYER: &[u8] = b"U";
/// Request for a challenge in place of one.
const NO_CHALLENGE: [u8; 4] = [0xff; 4];
/// Maximum number of pieces of an answer: GoldSource has no more.
const PIECES: u8 = 15;
/// Maximum number of challenges, and of messages that answer something else, before an answer.
const ROUNDS: usize = 4;

/// Engine of the game. The two split their answers in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Source,
    GoldSource,
}

pub(crate) async fn players(address: SocketAddr) -> Result<Players, QueryError> {
    let mut udp = Udp::connect(address).await?;
    let info = ask(&mut udp, INFO, &[], b"Im", Engine::Source).await?;
    let (engine, online, max) = read_info(&info)?;
    // Many games keep the names to themselves, and say nothing or nonsense. The deadline of the probe must not end the
    // answer that is there.
    let named = async {
        let answer = ask(&mut udp, PLAYER, &NO_CHALLENGE, b"D", engine).await?;
        read_names(&answer)
    };
    let names = tokio::time::timeout(crate::DEADLINE / 4, named).await.ok().and_then(Result::ok);
    // Between the two answers somebody may have come or gone. A game that hides names tells fewer.
    let names = names.filter(|names| names.len() == usize::from(online));
    Ok(Players::new(online.into(), Some(max.into()), names))
}

/// Asks until an answer of one of these kinds comes, and returns it from its kind on.
async fn ask(
    udp: &mut Udp,
    question: &[u8],
    token: &[u8],
    kinds: &[u8],
    engine: Engine,
) -> Result<Vec<u8>, QueryError> {
    let mut token = token.to_vec();
    for _ in 0..ROUNDS {
        udp.send(&[SINGLE, question, &token].concat()).await?;
        let message = message(udp, engine).await?;
        match message.split_first() {
            Some((kind, _)) if kinds.contains(kind) => return Ok(message),
            Some((b'A', challenge)) => token = Reader(challenge).array::<4>()?.to_vec(),
            _ => {}
        }
    }
    Err(QueryError::Malformed("it answers something else"))
}

/// Receives a message, in one piece or several, and returns it without the bytes before its kind.
async fn message(udp: &mut Udp, engine: Engine) -> Result<Vec<u8>, QueryError> {
    let mut pieces = Pieces::default();
    loop {
        let datagram = udp.receive().await?;
        if let Some(message) = datagram.strip_prefix(SINGLE) {
            return Ok(message.to_vec());
        }
        let piece = datagram.strip_prefix(SPLIT).ok_or(QueryError::Malformed("it begins with unknown bytes"))?;
        if let Some(whole) = pieces.add(Piece::read(piece, engine)?)? {
            return whole
                .strip_prefix(SINGLE)
                .map(<[u8]>::to_vec)
                .ok_or(QueryError::Malformed("its pieces do not fit"));
        }
    }
}

/// Piece of an answer.
#[derive(Debug)]
struct Piece<'a> {
    id: [u8; 4],
    total: u8,
    number: u8,
    bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    fn read(datagram: &'a [u8], engine: Engine) -> Result<Self, QueryError> {
        let mut reader = Reader(datagram);
        let id: [u8; 4] = reader.array()?;
        let (total, number) = match engine {
            Engine::GoldSource => {
                let both = reader.u8()?;
                (both & 0x0f, both >> 4)
            }
            Engine::Source => {
                // A few bytes of bzip2 could become gigabytes, and only games from before 2010 compress.
                if id[3] & 0x80 != 0 {
                    return Err(QueryError::Malformed("it is compressed"));
                }
                let numbers = (reader.u8()?, reader.u8()?);
                reader.bytes(2)?;
                numbers
            }
        };
        if total == 0 || total > PIECES || number >= total {
            return Err(QueryError::Malformed("the number of its pieces is out of range"));
        }
        Ok(Self { id, total, number, bytes: reader.0 })
    }
}

/// Pieces of an answer that have come.
#[derive(Debug, Default)]
struct Pieces {
    id: Option<([u8; 4], u8)>,
    came: Vec<Option<Vec<u8>>>,
}

impl Pieces {
    /// Adds a piece, and returns the answer once it is whole.
    fn add(&mut self, piece: Piece<'_>) -> Result<Option<Vec<u8>>, QueryError> {
        let id = (piece.id, piece.total);
        if *self.id.get_or_insert(id) != id {
            return Err(QueryError::Malformed("its pieces belong to different answers"));
        }
        self.came.resize(piece.total.into(), None);
        let slot = self.came.get_mut(usize::from(piece.number));
        let slot = slot.ok_or(QueryError::Malformed("the number of its pieces is out of range"))?;
        if slot.is_some() {
            return Err(QueryError::Malformed("a piece came twice"));
        }
        *slot = Some(piece.bytes.to_vec());
        Ok(self.came.iter().map(Option::as_deref).collect::<Option<Vec<_>>>().map(|pieces| pieces.concat()))
    }
}

/// Reads the engine, the number of players, and their maximum.
fn read_info(message: &[u8]) -> Result<(Engine, u8, u8), QueryError> {
    let mut reader = Reader(message);
    let engine = match reader.u8()? {
        b'I' => Engine::Source,
        b'm' => Engine::GoldSource,
        _ => return Err(QueryError::Malformed("it is no A2S_INFO")),
    };
    match engine {
        Engine::Source => drop(reader.u8()?),
        Engine::GoldSource => drop(reader.text()?),
    }
    for _ in ["name", "map", "folder", "game"] {
        reader.text()?;
    }
    if engine == Engine::Source {
        reader.bytes(2)?;
    }
    Ok((engine, reader.u8()?, reader.u8()?))
}

fn read_names(message: &[u8]) -> Result<Vec<String>, QueryError> {
    let mut reader = Reader(message);
    reader.expect(b"D", "it is no A2S_PLAYER")?;
    let count = reader.u8()?;
    let mut names = vec![];
    for _ in 0..count {
        reader.u8()?;
        names.push(reader.text()?);
        reader.bytes(8)?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
