use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::*;

/// A door that admits one player, and counts who has joined.
#[derive(Default)]
struct OneDoor {
    joined: AtomicUsize,
    asked: Mutex<Vec<String>>,
    is_locked: bool,
}

#[async_trait]
impl Door for OneDoor {
    fn sign(&self) -> String {
        "Castle: asleep".to_owned()
    }

    fn admits(&self, player: &str) -> bool {
        self.asked.lock().expect("no panic").push(player.to_owned());
        player == "Ann"
    }

    async fn join(&self, _player: &str) -> Result<String, String> {
        self.joined.fetch_add(1, Ordering::Relaxed);
        if self.is_locked { Err("It stays asleep".to_owned()) } else { Ok("It wakes".to_owned()) }
    }
}

/// Opens a gate, and returns its port.
async fn open() -> (u16, Arc<OneDoor>, JoinHandle<io::Result<()>>) {
    open_to(OneDoor::default()).await
}

async fn open_to(door: OneDoor) -> (u16, Arc<OneDoor>, JoinHandle<io::Result<()>>) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    drop(listener);
    let door = Arc::new(door);
    let kept = tokio::spawn({
        let door = door.clone();
        async move { MinecraftGate::default().keep("127.0.0.1", port, &*door).await }
    });
    (port, door, kept)
}

async fn connect(port: u16) -> TcpStream {
    for _ in 0..200 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
            return stream;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody listens at {port}");
}

/// Says this, and returns everything that is answered.
async fn say(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(port).await;
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = vec![];
    let read = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is still open");
    answer
}

/// The beginning of a connection of this version to `localhost`.
fn shake(version: &[u8], next: u8) -> Vec<u8> {
    framed(&[&[0], version, &written("localhost"), &[0x63, 0xdd], &[next]].concat())
}

const V774: &[u8] = &[0x86, 0x06];

fn joins(name: &str) -> Vec<u8> {
    let id = [7; 16];
    [shake(V774, 2), framed(&[&[0], &written(name)[..], &id].concat())].concat()
}

#[tokio::test]
async fn status_says_that_the_server_sleeps() {
    let (port, _door, kept) = open().await;
    let ping = framed(&[1, 1, 2, 3, 4, 5, 6, 7, 8]);
    let answer = say(port, &[shake(V774, 1), framed(&[0]), ping.clone()].concat()).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains(r#""text":"Castle: asleep""#) && text.contains(r#""protocol":774"#), "{text}");
    assert!(answer.ends_with(&ping), "the ping comes back");
    // A client that has no version asks with -1.
    let answer = say(port, &[shake(&[0xff, 0xff, 0xff, 0xff, 0x0f], 1), framed(&[0])].concat()).await;
    assert!(String::from_utf8_lossy(&answer).contains(r#""protocol":-1"#));
    for old in [&[0xfe][..], &[0xfe, 1], &[0xfe, 1, 0xfa, 0, 11]] {
        let answer = say(port, old).await;
        let units: Vec<_> = answer[3..].chunks(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
        assert_eq!(String::from_utf16_lossy(&units), "§1\x00127\0asleep\0Castle: asleep\x000\x000");
        assert_eq!((answer[0], usize::from(u16::from_be_bytes([answer[1], answer[2]]))), (0xff, units.len()));
    }
    // AGIS' own question understands it.
    let players = crate::players(agis_servers::game::QueryProtocol::Minecraft, "127.0.0.1", port).await;
    assert_eq!(players.map(|players| players.online).expect("a status"), 0);
    assert!(!kept.is_finished());
    kept.abort();
}

#[tokio::test]
async fn admitted_player_opens_and_frees_the_port() {
    let (port, door, kept) = open().await;
    let refused = say(port, &joins("Bob")).await;
    assert!(String::from_utf8_lossy(&refused).contains("You may not wake this server"), "{refused:?}");
    assert_eq!(door.joined.load(Ordering::Relaxed), 0);
    let answer = say(port, &joins("Ann")).await;
    assert!(String::from_utf8_lossy(&answer).contains(r#"{"text":"It wakes"}"#), "{answer:?}");
    kept.await.expect("no panic").expect("a player");
    assert_eq!(door.joined.load(Ordering::Relaxed), 1);
    assert_eq!(*door.asked.lock().expect("no panic"), ["Bob", "Ann"]);
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free for the game");
}

#[tokio::test]
async fn hostile_bytes_wake_nothing() {
    let (port, door, kept) = open().await;
    let long = "x".repeat(400);
    for bytes in [
        vec![],
        vec![0],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 4000],
        vec![0x80; 10],
        [varint(PACKET + 1), vec![0; PACKET + 1]].concat(),
        framed(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        framed(&[&[0], V774, &varint(0x7fff_ffff)[..]].concat()),
        [shake(V774, 4), framed(&[0])].concat(),
        [shake(V774, 1), framed(&[7])].concat(),
        joins(""),
        joins("a b"),
        joins("A\u{202e}nn"),
        joins(&long),
        [shake(V774, 2), framed(&[1, 0])].concat(),
        [shake(V774, 2), framed(&[&[0], &varint(9)[..], b"Ann"].concat())].concat(),
        [shake(V774, 2), vec![0xfe, 1]].concat(),
    ] {
        say(port, &bytes).await;
        assert!(!kept.is_finished(), "{bytes:?}");
    }
    assert_eq!((door.joined.load(Ordering::Relaxed), door.asked.lock().expect("no panic").len()), (0, 0));
    kept.abort();
}

#[tokio::test]
async fn silent_connections_are_few_and_short() {
    let (port, _door, kept) = open().await;
    let mut silent = vec![];
    for _ in 0..CONNECTIONS + 8 {
        silent.push(connect(port).await);
    }
    // Connections beyond the limit are closed at once, and the others in a while.
    for mut stream in silent.into_iter().rev() {
        let read = timeout(PATIENCE * 4, stream.read(&mut [0; 8])).await;
        assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
    }
    let answered = async { while say(port, &[0xfe, 1]).await.is_empty() {} };
    timeout(Duration::from_secs(30), answered).await.expect("there is room again");
    kept.abort();
}

#[tokio::test]
async fn silent_network_leaves_places_to_others() {
    let (port, _door, kept) = open().await;
    let mut silent = vec![];
    for _ in 0..CONNECTIONS {
        silent.push(connect(port).await);
    }
    other_is_answered(port).await;
    kept.abort();
}

#[tokio::test]
async fn refused_network_leaves_places_to_others() {
    let (port, door, kept) = open().await;
    let mut refused = vec![];
    for _ in 0..CONNECTIONS {
        let mut stream = connect(port).await;
        let _ = stream.write_all(&joins("Mallory")).await;
        refused.push(stream);
    }
    let asked = async {
        while door.asked.lock().expect("no panic").len() < OF_ONE_NETWORK {
            sleep(Duration::from_millis(5)).await
        }
    };
    timeout(Duration::from_secs(30), asked).await.expect("the first are refused, and stay");
    other_is_answered(port).await;
    kept.abort();
}

/// Asks for a status from another network.
async fn other_is_answered(port: u16) {
    let other = tokio::net::TcpSocket::new_v4().expect("a socket");
    other.bind(([127, 0, 0, 2], 0).into()).expect("another address");
    let mut other = other.connect(([127, 0, 0, 1], port).into()).await.expect("a connection");
    other.write_all(&[0xfe, 1]).await.expect("a request");
    let mut answer = [0];
    other.read_exact(&mut answer).await.expect("a status");
    assert_eq!(answer, [0xff]);
}

#[test]
fn site_of_ipv6_is_one_network() {
    let of = |address: &str| network(address.parse().expect("an address"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:ffff:ffff:ffff"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
}

#[tokio::test]
async fn refused_wake_keeps_the_gate_open() {
    let (port, door, kept) = open_to(OneDoor { is_locked: true, ..OneDoor::default() }).await;
    for _ in 0..5 {
        let answer = say(port, &joins("Ann")).await;
        assert!(String::from_utf8_lossy(&answer).contains("It stays asleep"), "{answer:?}");
    }
    assert_eq!(door.joined.load(Ordering::Relaxed), 1, "the store is not asked by each login");
    assert!(!kept.is_finished());
    kept.abort();
}

#[tokio::test]
async fn gate_that_is_given_up_frees_its_port() {
    let (port, _door, kept) = open().await;
    let _open = connect(port).await;
    kept.abort();
    let _ = kept.await;
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = handshake(&bytes);
        let _ = login(&bytes);
        let _ = signed(&mut Reader(&bytes));
    }

    #[test]
    fn versions_are_read_as_written(version in any::<i32>()) {
        let mut bytes = vec![];
        let mut rest = version.cast_unsigned();
        while rest > 0x7f {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push((rest & 0x7f) as u8);
        prop_assert_eq!(signed(&mut Reader(&bytes)).expect("a number"), version);
    }
}
