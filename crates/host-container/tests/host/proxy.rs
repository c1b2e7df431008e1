//! A socket in front of an engine that loses the answer of a call.

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
    task::AbortHandle,
};

pub(crate) struct Proxy {
    dir: tempfile::TempDir,
    path: PathBuf,
    has_lost: Arc<AtomicBool>,
    acceptor: AbortHandle,
}

impl Proxy {
    /// Loses the answer of the first call whose request line has `call`.
    pub(crate) async fn start(engine: &Path, call: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a socket");
        let has_lost = Arc::new(AtomicBool::new(false));
        let (engine, call, lost) = (engine.to_owned(), call.to_owned(), Arc::clone(&has_lost));
        let accepting = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, engine.clone(), call.clone(), Arc::clone(&lost)));
            }
        };
        Self { dir, path, has_lost, acceptor: tokio::spawn(accepting).abort_handle() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn has_lost(&self) -> bool {
        self.has_lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        let _ = self.dir.path();
    }
}

async fn serve(mut client: UnixStream, engine: PathBuf, call: String, lost: Arc<AtomicBool>) {
    let mut head = vec![0; 64 * 1024];
    let Ok(length) = client.read(&mut head).await else { return };
    let line = String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned();
    // The version stands before the path.
    let line = line.replacen("/v1.41", "", 1);
    let Ok(mut server) = UnixStream::connect(engine).await else { return };
    if server.write_all(&head[..length]).await.is_err() {
        return;
    }
    let path = line.split('?').next().unwrap_or_default();
    if !path.contains(&call) || lost.swap(true, Ordering::SeqCst) {
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
