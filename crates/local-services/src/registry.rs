//! A registry of container images on the loopback interface. It serves one small image, and is as bad as a test wants.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{sleep, spawn};
use std::time::Duration;
use std::{fs, path::PathBuf};

use crate::error::{Error, Result};
use crate::{random, rootfs};

/// Bytes of the layer that has no use but its size.
const FILLING: usize = 6_000_000;
/// Time between two drops of a slow answer.
const DRIP: Duration = Duration::from_millis(20);

/// Behaviour of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Answers at once.
    Quick,
    /// Sends the second half of a layer drop by drop, until the mood changes.
    Slow,
    /// Sends half of a layer, and then nothing, until the mood changes.
    Stuck,
}

/// A running registry, which ends when it is dropped.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    shared: Arc<Shared>,
}

/// Content types and bodies by their paths.
type Documents = HashMap<String, (&'static str, Vec<u8>)>;

#[derive(Debug)]
struct Shared {
    documents: Documents,
    digest: String,
    mood: Mutex<Mood>,
    /// Number of layers whose answers will break off.
    cuts: AtomicU32,
    /// Number of layers that were asked for from their beginning.
    layers: AtomicU32,
    is_over: AtomicBool,
}

impl Registry {
    /// Starts a registry with an image of busybox.
    ///
    /// # Errors
    /// Fails if the image cannot be built, or no port is free.
    pub fn start() -> Result<Self> {
        let wrong = |error: std::io::Error| Error::new(format!("cannot listen: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(wrong)?;
        let port = listener.local_addr().map_err(wrong)?.port();
        let (documents, digest) = image()?;
        let shared = Arc::new(Shared {
            documents,
            digest,
            mood: Mutex::new(Mood::Quick),
            cuts: AtomicU32::new(0),
            layers: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&serving);
                spawn(move || shared.serve(client));
            }
        });
        Ok(Self { port, shared })
    }

    /// Returns the reference of the image.
    #[must_use]
    pub fn image(&self) -> String {
        format!("{}:1", self.repository())
    }

    /// Returns the reference of the image by its digest.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{}@{}", self.repository(), self.shared.digest)
    }

    fn repository(&self) -> String {
        format!("127.0.0.1:{}/agis-test/pulled", self.port)
    }

    /// Changes its behaviour, also towards answers that go on.
    pub fn set_mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Breaks off the answers with the next layers, in their middle.
    pub fn cut(&self, layers: u32) {
        self.shared.cuts.store(layers, Ordering::SeqCst);
    }

    /// Returns the number of layers that were asked for from their beginning. The image has two.
    #[must_use]
    pub fn layers(&self) -> u32 {
        self.shared.layers.load(Ordering::SeqCst)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.set_mood(Mood::Quick);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request. An engine that goes away ends it.
    fn serve(&self, mut client: TcpStream) {
        let Some((method, path, from)) = request(&client) else { return };
        let Some((kind, body)) = self.documents.get(&path) else {
            let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        };
        let (rest, all) = (&body[from.min(body.len())..], body.len());
        let status = match from {
            0 => "200 OK".to_owned(),
            _ => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{all}", all - 1),
        };
        let digest = path.rsplit_once("sha256:").map_or(self.digest.clone(), |(_, digest)| format!("sha256:{digest}"));
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {digest}\r\n\
             Accept-Ranges: bytes\r\nConnection: close\r\n\r\n",
            rest.len()
        );
        if client.write_all(head.as_bytes()).is_err() || method == "HEAD" {
            return;
        }
        let _ = if *kind == LAYER { self.send_layer(&mut client, rest, from) } else { client.write_all(rest) };
    }

    fn send_layer(&self, client: &mut TcpStream, layer: &[u8], from: usize) -> std::io::Result<()> {
        if from == 0 {
            self.layers.fetch_add(1, Ordering::SeqCst);
        }
        let (first, second) = layer.split_at(layer.len() / 2);
        client.write_all(first)?;
        if self.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |cuts| cuts.checked_sub(1)).is_ok() {
            return Ok(());
        }
        let mut drops = second.chunks(1000);
        loop {
            match self.mood() {
                Mood::Quick => return drops.try_for_each(|drop| client.write_all(drop)),
                Mood::Stuck => {}
                Mood::Slow => match drops.next() {
                    Some(drop) => client.write_all(drop)?,
                    None => return Ok(()),
                },
            }
            sleep(DRIP);
        }
    }
}

/// Reads a request: its method, its path, and the first byte that it wants.
fn request(client: &TcpStream) -> Option<(String, String, usize)> {
    let mut lines = BufReader::new(client.take(64 * 1024)).lines().map_while(std::io::Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut from = 0;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = range.split('-').next()?.parse().ok()?;
        }
    }
    Some((method, path, from))
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Builds an image of two layers, and returns the documents of its registry and its digest.
fn image() -> Result<(Documents, String)> {
    let root = PathBuf::from(format!("/tmp/agis-registry-{}", random::hex()?));
    let (programs, filling) = (root.join("programs"), root.join("filling"));
    rootfs::fill(&programs, &[])?;
    fs::create_dir_all(&filling).map_err(Error::at(&filling))?;
    // Each registry has another image, so no engine has its layers already.
    let text = random::hex()?.repeat(FILLING / 24);
    fs::write(filling.join("filling"), text).map_err(Error::at(&filling))?;
    let layers = [rootfs::tar(&programs)?, rootfs::tar(&filling)?];
    let _ = fs::remove_dir_all(&root);
    let digests = [sha256(&layers[0])?, sha256(&layers[1])?];
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let [first, second] = &digests;
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{"Env":["PATH=/bin"]}},"rootfs":{{"type":"layers","diff_ids":["{first}","{second}"]}}}}"#
    );
    let config_digest = sha256(config.as_bytes())?;
    let part = |kind: &str, digest: &str, size: usize| {
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#)
    };
    let (config_kind, manifest_kind) =
        ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.manifest.v1+json");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{manifest_kind}","config":{},"layers":[{},{}]}}"#,
        part(config_kind, &config_digest, config.len()),
        part(LAYER, first, layers[0].len()),
        part(LAYER, second, layers[1].len()),
    );
    let digest = sha256(manifest.as_bytes())?;
    let at = |kind: &str, name: &str| format!("/v2/agis-test/pulled/{kind}/{name}");
    let mut documents = HashMap::from([
        ("/v2/".to_owned(), ("application/json", b"{}".to_vec())),
        (at("manifests", "1"), (manifest_kind, manifest.clone().into_bytes())),
        (at("manifests", &digest), (manifest_kind, manifest.into_bytes())),
        (at("blobs", &config_digest), (config_kind, config.into_bytes())),
    ]);
    documents.extend(digests.iter().zip(layers).map(|(digest, layer)| (at("blobs", digest), (LAYER, layer))));
    Ok((documents, digest))
}

/// Returns the digest of a document, as sha256sum(1) makes it.
fn sha256(document: &[u8]) -> Result<String> {
    let digest = || {
        let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(document)?;
        }
        let output = child.wait_with_output()?.stdout;
        Ok(String::from_utf8_lossy(&output).split(' ').next().map(|it| format!("sha256:{it}")).unwrap_or_default())
    };
    digest().map_err(|error: std::io::Error| Error::new(format!("cannot run sha256sum: {error}")))
}
