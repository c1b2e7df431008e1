use std::net::Ipv4Addr;

use proptest::prelude::*;
use tokio::net::UdpSocket;

use super::*;

fn info(players: u8, max: u8) -> Vec<u8> {
    [b"I\x11Name\0map\0folder\0Game\0\x00\x00".as_slice(), &[players, max, 0], b"dl\0\x01v\0"].concat()
}

fn player(name: &[u8]) -> Vec<u8> {
    [b"\0".as_slice(), name, b"\0", &[0; 8]].concat()
}

#[test]
fn info_tells_how_many_play() {
    assert_eq!(read_info(&info(3, 20)).expect("Source"), (Engine::Source, 3, 20));
    let gold = b"m127.0.0.1:27015\0Name\0map\0folder\0Game\0\x05\x10\x2f";
    assert_eq!(read_info(gold).expect("GoldSource"), (Engine::GoldSource, 5, 16));
    let whole = info(3, 20);
    for end in 0..26 {
        assert!(read_info(&whole[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn names_end_with_their_answer() {
    let answer = [b"D\x02".as_slice(), &player(b"Ann"), &player(b"\xffBob")].concat();
    assert_eq!(read_names(&answer).expect("two players"), ["Ann", "\u{fffd}Bob"]);
    for end in 0..answer.len() {
        assert!(read_names(&answer[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn pieces_that_do_not_fit_are_refused() {
    let piece = |head: &[u8]| [head, b"xx"].concat();
    for (datagram, engine) in [
        (piece(b"\x01\0\0\x80\x02\x00\0\0"), Engine::Source),
        (piece(b"\x01\0\0\0\x00\x00\0\0"), Engine::Source),
        (piece(b"\x01\0\0\0\x02\x02\0\0"), Engine::Source),
        (piece(b"\x01\0\0\0\xff\x00\0\0"), Engine::Source),
        (piece(b"\x01\0\0\0\x22"), Engine::GoldSource),
        (b"\x01\0\0".to_vec(), Engine::GoldSource),
    ] {
        assert!(Piece::read(&datagram, engine).is_err(), "{datagram:?}");
    }
    let piece = |id: u8, total, number| Piece { id: [id, 0, 0, 0], total, number, bytes: b"x" };
    let mut pieces = Pieces::default();
    assert_eq!(pieces.add(piece(1, 3, 2)).expect("the last first"), None);
    assert!(pieces.add(piece(1, 3, 2)).is_err(), "twice");
    assert!(pieces.add(piece(2, 3, 0)).is_err(), "of another answer");
    assert!(pieces.add(piece(1, 4, 0)).is_err(), "of another number");
    assert_eq!(pieces.add(piece(1, 3, 0)).expect("the first"), None);
    assert_eq!(pieces.add(piece(1, 3, 1)).expect("the rest").as_deref(), Some(b"xxx".as_slice()));
}

/// Plays a server that answers each question in order.
async fn server(script: Vec<(&'static [u8], Vec<Vec<u8>>)>) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let address = socket.local_addr().expect("its address");
    tokio::spawn(async move {
        for (question, answers) in script {
            let mut buffer = [0; 100];
            let (length, from) = socket.recv_from(&mut buffer).await.expect("a question");
            assert_eq!(&buffer[..length], question);
            for answer in answers {
                socket.send_to(&answer, from).await.expect("an answer");
            }
        }
    });
    address
}

fn single(message: &[u8]) -> Vec<Vec<u8>> {
    vec![[SINGLE, message].concat()]
}

#[tokio::test]
async fn challenges_are_met_and_pieces_joined() {
    let names = [SINGLE, b"D\x02", &player(b"Ann"), &player(b"Bob")].concat();
    let (first, second) = names.split_at(9);
    let piece = |number: u8, bytes: &[u8]| [SPLIT, &[5, 0, 0, 0, 2, number, 0xe0, 0x04], bytes].concat();
    let address = server(vec![
        (b"\xff\xff\xff\xffTSource Engine Query\0", single(b"A\x01\x02\x03\x04")),
        (b"\xff\xff\xff\xffTSource Engine Query\0\x01\x02\x03\x04", single(&info(2, 8))),
        (b"\xff\xff\xff\xffU\xff\xff\xff\xff", single(b"A\x05\x06\x07\x08")),
        (b"\xff\xff\xff\xffU\x05\x06\x07\x08", vec![piece(1, second), piece(0, first)]),
    ])
    .await;
    let players = players(address).await.expect("an answer");
    assert_eq!((players.online, players.max), (2, Some(8)));
    assert_eq!(players.names, Some(vec!["Ann".to_owned(), "Bob".to_owned()]));
}

#[tokio::test]
async fn count_stands_where_the_names_are_kept() {
    let address = server(vec![(b"\xff\xff\xff\xffTSource Engine Query\0", single(&info(2, 8)))]).await;
    let players = players(address).await.expect("an answer");
    assert_eq!((players.online, players.names), (2, None));
}

#[tokio::test]
async fn endless_challenges_end() {
    let first: &[u8] = b"\xff\xff\xff\xffTSource Engine Query\0";
    let again: &[u8] = b"\xff\xff\xff\xffTSource Engine Query\0\x01\x02\x03\x04";
    let challenge = || single(b"A\x01\x02\x03\x04");
    let script = [first, again, again, again].into_iter().map(|question| (question, challenge())).collect();
    assert!(matches!(players(server(script).await).await, Err(QueryError::Malformed(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_info(&bytes);
        let _ = read_info(&[b"I", bytes.as_slice()].concat());
        let _ = read_names(&[b"D", bytes.as_slice()].concat());
        let mut pieces = Pieces::default();
        for chunk in bytes.chunks(10) {
            for engine in [Engine::Source, Engine::GoldSource] {
                let _ = Piece::read(chunk, engine).map(|piece| pieces.add(piece));
            }
        }
    }
}
