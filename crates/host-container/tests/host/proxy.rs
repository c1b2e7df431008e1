//! A socket in front of an engine that loses the answer of a call, or keeps a call back.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::AbortHandle,
};

pub(crate) struct Proxy {
    dir: tempfile::TempDir,
    path: PathBuf,
    trick: Arc<Trick>,
    acceptor: AbortHandle,
}

/// Trick that is played on the first call whose request line has `call`.
struct Trick {
    call: String,
    was_played: AtomicBool,
    /// Has a permit once a call that is kept back may go on; `None` if the answer is lost.
    gate: Option<Semaphore>,
}

impl Proxy {
    /// Loses the answer of the first call whose request line has `call`.
    pub(crate) async fn start(engine: &Path, call: &str) -> Self {
        Self::with(engine, call, None).await
    }

    /// Keeps back the first call whose request line has `call`, until [`Self::release`].
    pub(crate) async fn holding(engine: &Path, call: &str) -> Self {
        Self::with(engine, call, Some(Semaphore::new(0))).await
    }

    async fn with(engine: &Path, call: &str, gate: Option<Semaphore>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a socket");
        let trick = Arc::new(Trick { call: call.to_owned(), was_played: AtomicBool::new(false), gate });
        let (engine, played) = (engine.to_owned(), Arc::clone(&trick));
        let accepting = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, engine.clone(), Arc::clone(&played)));
            }
        };
        Self { dir, path, trick, acceptor: tokio::spawn(accepting).abort_handle() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the call was made.
    pub(crate) fn was_played(&self) -> bool {
        self.trick.was_played.load(Ordering::SeqCst)
    }

    /// Lets the call go on.
    pub(crate) fn release(&self) {
        self.trick.gate.as_ref().expect("a call that is kept back").add_permits(1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        let _ = self.dir.path();
    }
}

async fn serve(mut client: UnixStream, engine: PathBuf, trick: Arc<Trick>) {
    let mut head = vec![0; 64 * 1024];
    let Ok(length) = client.read(&mut head).await else { return };
    let line = String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned();
    // The version stands before the path.
    let line = line.replacen("/v1.41", "", 1);
    let path = line.split('?').next().unwrap_or_default();
    let is_it = path.contains(&trick.call) && !trick.was_played.swap(true, Ordering::SeqCst);
    if let (true, Some(gate)) = (is_it, &trick.gate) {
        gate.acquire().await.expect("it stays open").forget();
    }
    let Ok(mut server) = UnixStream::connect(engine).await else { return };
    if server.write_all(&head[..length]).await.is_err() {
        return;
    }
    if !is_it || trick.gate.is_some() {
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    // The rest of the request may follow. The engine does its work, and nobody hears of it.
    let (mut from_client, to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let passing = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let _ = from_server.read(&mut head).await;
    passing.abort();
    drop(to_client);
}
