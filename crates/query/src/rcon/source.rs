//! Source RCON. <https://developer.valvesoftware.com/wiki/Source_RCON_Protocol>

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{ANSWER_MAX, RconError};

const AUTH: i32 = 3;
const AUTH_RESPONSE: i32 = 2;
const COMMAND: i32 = 2;
const RESPONSE: i32 = 0;
/// Bytes of a packet beside its body: two numbers and two NULs.
const FRAME: usize = 10;
/// Maximum size of a packet from the game. The protocol says 4,096; a few games send more.
const PACKET: usize = 64 * 1024;
/// Maximum length of a command, in bytes: Minecraft reads no longer packets than 1,460 bytes.
const COMMAND_BYTES: usize = 1446;
/// Maximum number of packets that are read before the one that is waited for.
const PACKETS: usize = 64;
/// Silence after which an answer is over, where the game does not answer the packet that marks the end.
const SILENCE: Duration = Duration::from_millis(300);

const ID_AUTH: i32 = 1;
const ID_COMMAND: i32 = 2;
const ID_END: i32 = 3;

#[derive(Debug, PartialEq, Eq)]
struct Packet {
    id: i32,
    kind: i32,
    body: Vec<u8>,
}

pub(super) async fn tell(
    address: SocketAddr,
    password: &str,
    command: &str,
    deadline: Instant,
) -> Result<Vec<u8>, RconError> {
    if command.len() > COMMAND_BYTES {
        return Err(RconError::Unsendable("it must be shorter"));
    }
    let opened = async {
        let mut stream = TcpStream::connect(address).await.map_err(RconError::Unreachable)?;
        authenticate(&mut stream, password).await?;
        Ok(stream)
    };
    let mut stream = timeout_at(deadline, opened).await.unwrap_or(Err(RconError::Slow))?;
    let unanswered = |error: io::Error| RconError::Unanswered(error.to_string());
    let late = |_| RconError::Unanswered("nothing came in time".to_owned());
    let first = async {
        stream.write_all(&packet(ID_COMMAND, COMMAND, command)).await?;
        read_until(&mut stream, |packet| packet.id == ID_COMMAND).await
    };
    let mut answer = timeout_at(deadline, first).await.map_err(late)?.map_err(unanswered)?.body;
    // Only now: Minecraft drops a packet that comes together with another.
    if stream.write_all(&packet(ID_END, RESPONSE, "")).await.is_ok() {
        rest(&mut stream, &mut answer, deadline).await;
    }
    answer.truncate(ANSWER_MAX);
    Ok(answer)
}

async fn authenticate(stream: &mut TcpStream, password: &str) -> Result<(), RconError> {
    let asked = async {
        stream.write_all(&packet(ID_AUTH, AUTH, password)).await?;
        // Source sends an empty packet before.
        read_until(stream, |packet| packet.kind == AUTH_RESPONSE).await
    };
    match asked.await {
        Ok(packet) if packet.id == ID_AUTH => Ok(()),
        Ok(_) => Err(RconError::Password),
        Err(error) => Err(RconError::Unreachable(error)),
    }
}

/// Reads the other pieces of an answer. A piece that fails ends it.
async fn rest(stream: &mut TcpStream, answer: &mut Vec<u8>, deadline: Instant) {
    while answer.len() < ANSWER_MAX {
        let until = deadline.min(Instant::now() + SILENCE);
        match timeout_at(until, read(stream)).await {
            Ok(Ok(packet)) if packet.id == ID_COMMAND => answer.extend(packet.body),
            _ => return,
        }
    }
}

fn packet(id: i32, kind: i32, body: &str) -> Vec<u8> {
    let length = i32::try_from(FRAME + body.len()).unwrap_or(i32::MAX);
    [&length.to_le_bytes(), &id.to_le_bytes(), &kind.to_le_bytes(), body.as_bytes(), &[0, 0]].concat()
}

async fn read_until(stream: &mut (impl AsyncRead + Unpin), is_it: impl Fn(&Packet) -> bool) -> io::Result<Packet> {
    for _ in 0..PACKETS {
        let packet = read(stream).await?;
        if is_it(&packet) {
            return Ok(packet);
        }
    }
    Err(io::Error::other("it answers something else"))
}

/// Reads a packet of a bounded size.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Packet> {
    let length = usize::try_from(stream.read_i32_le().await?).unwrap_or_default();
    if !(FRAME..=PACKET).contains(&length) {
        return Err(io::Error::other("a packet's length is out of range"));
    }
    let (id, kind) = (stream.read_i32_le().await?, stream.read_i32_le().await?);
    let mut body = vec![];
    stream.take(length as u64 - 8).read_to_end(&mut body).await?;
    if body.len() < length - 8 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    body.truncate(length - FRAME);
    Ok(Packet { id, kind, body })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;
    use tokio::net::TcpListener;

    use super::*;

    fn raw(id: i32, kind: i32, body: &[u8]) -> Vec<u8> {
        packet(id, kind, &String::from_utf8_lossy(body))
    }

    /// Plays a game that waits for each packet, and answers it.
    async fn game(script: Vec<(Packet, Vec<Vec<u8>>)>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            for (expected, answers) in script {
                assert_eq!(read(&mut stream).await.expect("a packet"), expected);
                stream.write_all(&answers.concat()).await.expect("sent");
            }
            let _ = stream.read_u8().await;
        });
        address
    }

    fn of_us(id: i32, kind: i32, body: &str) -> Packet {
        Packet { id, kind, body: body.as_bytes().to_vec() }
    }

    fn welcome() -> (Packet, Vec<Vec<u8>>) {
        (of_us(ID_AUTH, AUTH, "pass"), vec![raw(ID_AUTH, RESPONSE, b""), raw(ID_AUTH, AUTH_RESPONSE, b"")])
    }

    async fn told(address: SocketAddr, within: Duration) -> Result<String, RconError> {
        tell(address, "pass", "list", Instant::now() + within).await.map(|it| String::from_utf8_lossy(&it).into_owned())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn answer_in_pieces_is_joined() {
        let address = game(vec![
            welcome(),
            (
                of_us(ID_COMMAND, COMMAND, "list"),
                vec![raw(ID_COMMAND, RESPONSE, b"Ann, "), raw(ID_COMMAND, RESPONSE, b"Bob")],
            ),
            (of_us(ID_END, RESPONSE, ""), vec![raw(ID_END, RESPONSE, b"Unknown request 0")]),
        ])
        .await;
        assert_eq!(told(address, LONG).await.expect("an answer"), "Ann, Bob");
    }

    #[tokio::test]
    async fn game_without_an_end_mark_answers() {
        let answer = (of_us(ID_COMMAND, COMMAND, "list"), vec![raw(ID_COMMAND, RESPONSE, b"nobody")]);
        let address = game(vec![welcome(), answer]).await;
        assert_eq!(told(address, LONG).await.expect("an answer"), "nobody");
    }

    #[tokio::test]
    async fn wrong_password_runs_nothing() {
        let address = game(vec![(of_us(ID_AUTH, AUTH, "pass"), vec![raw(-1, AUTH_RESPONSE, b"")])]).await;
        let error = told(address, LONG).await.expect_err("refused");
        assert!(matches!(error, RconError::Password) && !error.may_have_run());
    }

    #[tokio::test]
    async fn silence_after_the_command_is_told() {
        let address = game(vec![welcome(), (of_us(ID_COMMAND, COMMAND, "list"), vec![])]).await;
        let error = told(address, Duration::from_millis(300)).await.expect_err("no answer");
        assert!(error.may_have_run(), "{error}");
        let broken = (of_us(ID_COMMAND, COMMAND, "list"), vec![vec![0xff; 40]]);
        let error = told(game(vec![welcome(), broken]).await, LONG).await.expect_err("malformed");
        assert!(error.may_have_run(), "{error}");
    }

    #[tokio::test]
    async fn silence_before_the_command_is_told() {
        let error = told(game(vec![]).await, Duration::from_millis(300)).await.expect_err("no answer");
        assert!(!error.may_have_run(), "{error}");
    }

    #[tokio::test]
    async fn claimed_sizes_are_bounded() {
        for length in [i32::MIN, -1, 0, 9, i32::MAX] {
            let bytes = [&length.to_le_bytes()[..], &[0; 64]].concat();
            assert!(read(&mut &bytes[..]).await.is_err(), "{length}");
        }
        let whole = raw(7, RESPONSE, b"text");
        for end in 0..whole.len() {
            assert!(read(&mut &whole[..end]).await.is_err(), "{end} bytes");
        }
        assert_eq!(read(&mut &whole[..]).await.expect("a packet"), of_us(7, RESPONSE, "text"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _ = runtime.block_on(read(&mut &bytes[..]));
            let claimed = [&20i32.to_le_bytes()[..], &bytes].concat();
            let _ = runtime.block_on(read(&mut &claimed[..]));
        }
    }
}
