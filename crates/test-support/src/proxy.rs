//! A TCP proxy on localhost that fails on demand, as networks do.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

#[derive(Debug, Clone, Copy, Default)]
struct State {
    blackhole: bool,
    /// How many times all connections were cut: a connection ends when this moves on.
    cuts: u64,
}

/// A proxy in front of one port; dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    state: watch::Sender<State>,
    acceptor: AbortHandle,
}

impl Proxy {
    /// Listens on a free port of localhost and forwards to `target`.
    ///
    /// # Panics
    /// When localhost has no free port.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.unwrap_or_else(|error| panic!("no port for a proxy: {error}"));
        let addr = listener.local_addr().unwrap_or_else(|error| panic!("no address of a proxy: {error}"));
        let (state, watcher) = watch::channel(State::default());
        let acceptor = tokio::spawn(accept(listener, target, watcher)).abort_handle();
        Self { addr, state, acceptor }
    }

    /// Returns the address for clients.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on nothing gets through in either direction, not even the end of a connection. Connections stay
    /// open and new ones are accepted; what they carry is held back.
    pub fn blackhole(&self) {
        self.state.send_modify(|state| state.blackhole = true);
    }

    /// Ends a blackhole and forwards what was held back.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.blackhole = false);
    }

    /// Closes all present connections; new ones work.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(serve(client, target, state.clone()));
    }
}

/// Carries one connection until both sides are done or it is cut; returning closes it.
async fn serve(client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let cuts = state.borrow().cuts;
    let carry = carry(client, target, state.clone());
    tokio::select! {
        _ = carry => {}
        // Also true, as an error, once the proxy is dropped.
        _ = state.wait_for(|state| state.cuts != cuts) => {}
    }
}

async fn carry(client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) -> io::Result<()> {
    pass(&mut state).await;
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(pump(from_client, to_server, state.clone()), pump(from_server, to_client, state))?;
    Ok(())
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        pass(&mut state).await;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

/// Waits out a blackhole.
async fn pass(state: &mut watch::Receiver<State>) {
    // An error means that the proxy is gone, and with it soon the connection.
    let _ = state.wait_for(|state| !state.blackhole).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(150);
    const LONG: Duration = Duration::from_secs(10);

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let addr = listener.local_addr().expect("address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        addr
    }

    async fn exchange(stream: &mut TcpStream, word: &[u8]) -> io::Result<()> {
        stream.write_all(word).await?;
        expect(stream, word).await
    }

    async fn expect(stream: &mut TcpStream, word: &[u8]) -> io::Result<()> {
        let mut answer = vec![0; word.len()];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, word);
        Ok(())
    }

    #[tokio::test]
    async fn blackhole_holds_back_until_healed() {
        let proxy = Proxy::start(echo().await).await;
        let mut old = TcpStream::connect(proxy.addr()).await.expect("connect");
        exchange(&mut old, b"before").await.expect("echo");

        proxy.blackhole();
        let mut new = TcpStream::connect(proxy.addr()).await.expect("accepted all the same");
        assert!(timeout(SHORT, exchange(&mut old, b"held")).await.is_err());
        assert!(timeout(SHORT, exchange(&mut new, b"kept")).await.is_err());

        proxy.heal();
        timeout(LONG, expect(&mut old, b"held")).await.expect("in time").expect("echo");
        timeout(LONG, expect(&mut new, b"kept")).await.expect("in time").expect("echo");
    }

    #[tokio::test]
    async fn cuts_what_is_open_and_accepts_anew() {
        let proxy = Proxy::start(echo().await).await;
        let mut old = TcpStream::connect(proxy.addr()).await.expect("connect");
        exchange(&mut old, b"before").await.expect("echo");

        proxy.cut();
        let end = timeout(LONG, old.read(&mut [0; 1])).await.expect("in time");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");

        let mut new = TcpStream::connect(proxy.addr()).await.expect("connect");
        exchange(&mut new, b"after").await.expect("echo");
    }
}
