//! Probes over real sockets: what answers, what does not, and what pretends to.

use std::{net::Ipv4Addr, time::Instant};

use agis_query::{DEADLINE, QueryError, players};
use agis_servers::game::QueryProtocol;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

const HERE: &str = "127.0.0.1";
const UDP: [QueryProtocol; 3] = [QueryProtocol::A2s, QueryProtocol::Bedrock, QueryProtocol::Quake3];

async fn udp() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let port = socket.local_addr().expect("its address").port();
    (socket, port)
}

async fn tcp() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

/// Answers a `getstatus` with its own challenge.
fn status(question: &[u8]) -> Vec<u8> {
    let challenge = question.strip_prefix(b"\xff\xff\xff\xffgetstatus ").expect("a question").trim_ascii();
    let info = [b"\xff\xff\xff\xffstatusResponse\n\\sv_maxclients\\8\\challenge\\", challenge, b"\n"].concat();
    [&info, b"5 48 \"Ann\"\n".as_slice()].concat()
}

#[tokio::test]
async fn nobody_at_the_port_is_told_at_once() {
    let (socket, port) = udp().await;
    drop(socket);
    for protocol in UDP {
        let began = Instant::now();
        assert!(matches!(players(protocol, HERE, port).await, Err(QueryError::Unreachable(_))), "{protocol}");
        assert!(began.elapsed() < DEADLINE, "{protocol}");
    }
    let (listener, port) = tcp().await;
    drop(listener);
    assert!(matches!(players(QueryProtocol::Minecraft, HERE, port).await, Err(QueryError::Unreachable(_))));
    assert!(players(QueryProtocol::A2s, "no.such.host.invalid", 1).await.is_err());
}

#[tokio::test]
async fn silent_game_ends_with_the_deadline() {
    let ((_udp, udp_port), (_tcp, tcp_port)) = (udp().await, tcp().await);
    let silent = async |protocol, port| matches!(players(protocol, HERE, port).await, Err(QueryError::Silent(_)));
    let all = tokio::join!(
        silent(UDP[0], udp_port),
        silent(UDP[1], udp_port),
        silent(UDP[2], udp_port),
        silent(QueryProtocol::Minecraft, tcp_port)
    );
    assert_eq!(all, (true, true, true, true));
}

#[tokio::test]
async fn forged_and_foreign_answers_are_passed_over() {
    let (game, port) = udp().await;
    let (forger, _) = udp().await;
    let playing = tokio::spawn(async move {
        let mut question = [0; 100];
        let (length, from) = game.recv_from(&mut question).await.expect("a question");
        let answer = status(&question[..length]);
        // From another port: the right challenge, and more players. From the game's own: another challenge.
        forger.send_to(&[&answer, b"9 9 \"Eve\"\n".as_slice()].concat(), from).await.expect("sent");
        game.send_to(&status(b"\xff\xff\xff\xffgetstatus other\n"), from).await.expect("sent");
        game.send_to(b"", from).await.expect("sent");
        game.send_to(&answer, from).await.expect("sent");
    });
    let players = players(QueryProtocol::Quake3, HERE, port).await.expect("an answer");
    assert_eq!((players.online, players.names), (1, Some(vec!["Ann".to_owned()])));
    playing.await.expect("the game");
}

/// Plays a Minecraft server that answers with these bytes.
async fn minecraft(answer: Vec<u8>) -> Result<u32, QueryError> {
    let (listener, port) = tcp().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let length = stream.read_u8().await.expect("a handshake");
        // The request of the status follows the handshake.
        stream.read_exact(&mut vec![0; usize::from(length) + 2]).await.expect("a request");
        // The caller may have heard enough.
        let _ = stream.write_all(&answer).await;
    });
    players(QueryProtocol::Minecraft, HERE, port).await.map(|players| players.online)
}

#[tokio::test]
async fn minecraft_status_is_read_over_tcp() {
    let json = br#"{"version":{"name":"1.21.8","protocol":772},"players":{"max":20,"online":3}}"#;
    let length = u8::try_from(json.len()).expect("a short text");
    let answer = [&[length + 2, 0, length], &json[..]].concat();
    assert_eq!(minecraft(answer.clone()).await.expect("an answer"), 3);
    assert!(matches!(minecraft(answer[..20].to_vec()).await, Err(QueryError::Malformed(_))), "truncated");
    assert!(matches!(minecraft(vec![]).await, Err(QueryError::Unreachable(_))), "closed");
    let oversized = [&[0xff, 0xff, 0xff, 0x7f], &vec![b'{'; 1 << 20][..]].concat();
    assert!(matches!(minecraft(oversized).await, Err(QueryError::Malformed(_))), "oversized");
}
