//! Images: found or pulled, and known by their digest.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agis_base::Reason;
use agis_servers::host::HostError;
use bollard::{errors::Error, models::CreateImageInfo, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    address::Address,
    config::Pace,
    engine::{Engine, Trouble},
    pin::Pin,
};

/// Time between two texts about a pull.
const TELL: Duration = Duration::from_secs(1);

/// Image that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// Id in the engine, which never means another image.
    pub(crate) id: String,
    /// Name with the digest by which registries know it; the id of an image that comes from no registry.
    pub(crate) digest: String,
}

/// Images of an engine, and the pulls that go on.
#[derive(Debug)]
pub struct Images {
    engine: Arc<Engine>,
    /// Pulls by their images.
    pulls: Mutex<HashMap<String, watch::Receiver<Pull>>>,
}

#[derive(Debug, Clone)]
enum Pull {
    Going(PullProgress),
    Done(Result<(), HostError>),
}

/// Progress of a pull. Its text is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullProgress {
    /// Bytes that have come.
    pub current: u64,
    /// Bytes of the layers that have begun to come.
    pub total: u64,
}

impl fmt::Display for PullProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        match (self.current, self.total) {
            (_, 0) => f.write_str("pulling image"),
            (current, total) if current >= total => f.write_str("unpacking image"),
            (current, total) => write!(f, "pulling image: {} of {} MB", megabytes(current), megabytes(total)),
        }
    }
}

impl Images {
    /// Returns the images of the engine of this data directory; if that has none yet, of the first engine at these addresses
    /// that answers. No address means the usual sockets.
    pub fn of(addresses: Vec<Address>, data_dir: &Path) -> Arc<Self> {
        Self::new(Arc::new(Engine::new(addresses, Pin::existing(data_dir.to_owned()), Pace::default())))
    }

    pub(crate) fn new(engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self { engine, pulls: Mutex::default() })
    }

    /// Returns the image, pulled if the engine does not have it. A tag of an image that is there means that image, so a
    /// start needs no registry, and a new version comes when an operator pulls it.
    pub(crate) async fn ensure(
        self: &Arc<Self>,
        image: &str,
        tell: &(dyn Fn(PullProgress) + Sync),
    ) -> Result<Image, HostError> {
        match self.find(image).await? {
            Some(found) => Ok(found),
            None => self.pulled(image, tell).await,
        }
    }

    /// Pulls an image, also a newer one of a tag that is there, and returns its digest. Waits if a pull of it goes on. The
    /// engine fetches no layer again that it has.
    ///
    /// # Errors
    /// Fails if the registry or the engine refuses, or does not answer.
    pub async fn pull(
        self: &Arc<Self>,
        image: &str,
        tell: &(dyn Fn(PullProgress) + Sync),
    ) -> Result<String, HostError> {
        self.pulled(image, tell).await.map(|image| image.digest)
    }

    async fn pulled(self: &Arc<Self>, image: &str, tell: &(dyn Fn(PullProgress) + Sync)) -> Result<Image, HostError> {
        let mut going = self.join(image);
        loop {
            let state = going.borrow_and_update().clone();
            match state {
                Pull::Going(progress) => tell(progress),
                Pull::Done(done) => {
                    done?;
                    let gone =
                        || HostError::Unavailable(format!("the image {image} was removed as soon as it was pulled"));
                    return self.find(image).await?.ok_or_else(gone);
                }
            }
            if going.changed().await.is_err() {
                return Err(HostError::Unavailable(format!("the pull of {image} was cut short")));
            }
        }
    }

    async fn find(&self, image: &str) -> Result<Option<Image>, HostError> {
        let found = match self.engine.call(async |docker| docker.inspect_image(image).await).await {
            Err(trouble) if trouble.is_gone() => return Ok(None),
            found => found?,
        };
        let Some(id) = found.id else { return Ok(None) };
        let named = format!("{}@", repository(image));
        let digests = found.repo_digests.unwrap_or_default();
        let digest = digests.iter().find(|it| it.starts_with(&named)).or(digests.first()).unwrap_or(&id).clone();
        Ok(Some(Image { id, digest }))
    }

    /// Returns the pull that goes on, or begins one. The pull outlives the order that began it, since another order may
    /// wait for it too.
    fn join(self: &Arc<Self>, image: &str) -> watch::Receiver<Pull> {
        let mut all = self.lock();
        if let Some(going) = all.get(image) {
            return going.clone();
        }
        let (sender, receiver) = watch::channel(Pull::Going(PullProgress::default()));
        all.insert(image.to_owned(), receiver.clone());
        let (images, image) = (Arc::clone(self), image.to_owned());
        tokio::spawn(async move {
            let patience = images.engine.pace.pull;
            let late =
                |_| Err(HostError::Failed(format!("the pull of {image} took longer than {} s", patience.as_secs())));
            let done = timeout(patience, images.fetch(&image, &sender)).await.unwrap_or_else(late);
            match &done {
                Ok(()) => tracing::info!(image, "image pulled"),
                Err(error) => tracing::warn!(image, %error, "image could not be pulled"),
            }
            images.lock().remove(&image);
            let _ = sender.send(Pull::Done(done));
        });
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Pull>>> {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, image: &str, sender: &watch::Sender<Pull>) -> Result<(), HostError> {
        let docker = self.engine.docker().await?;
        let options = CreateImageOptionsBuilder::default().from_image(image).build();
        let mut answers = docker.create_image(Some(options), None, None);
        let (mut layers, mut told, stall) = (Layers::default(), Instant::now(), self.engine.pace.stall);
        loop {
            let stalled =
                |_| HostError::Failed(format!("the pull of {image} made no progress for {} s", stall.as_secs()));
            let Some(answer) = timeout(stall, answers.next()).await.map_err(stalled)? else { return Ok(()) };
            let answer = answer.map_err(|error| failed(image, error))?;
            if let Some(why) = answer.error_detail.as_ref().and_then(|it| it.message.as_deref()) {
                return Err(refused(image, why));
            }
            layers.hear(answer);
            if told.elapsed() >= TELL {
                told = Instant::now();
                let _ = sender.send(Pull::Going(layers.sum()));
            }
        }
    }
}

fn failed(image: &str, error: Error) -> HostError {
    match error {
        Error::DockerStreamError { error } => refused(image, &error),
        error => match Trouble::from(error) {
            Trouble::Refused { why, .. } => refused(image, &why),
            trouble => trouble.into(),
        },
    }
}

/// Returns the reference of an image without its tag and its digest.
fn repository(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        // A colon before a slash belongs to a port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

fn refused(image: &str, why: &str) -> HostError {
    HostError::Failed(Reason::new(format!("the image {image} cannot be pulled: {why}")).to_string())
}

/// Maximum number of layers whose progress is remembered; the engines allow 127.
const LAYERS: usize = 1000;

/// Progress of the layers of an image, by their ids: bytes that have come, and bytes in all.
#[derive(Debug, Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    fn hear(&mut self, answer: CreateImageInfo) {
        let CreateImageInfo { id: Some(id), status: Some(status), progress_detail, .. } = answer else { return };
        let bytes = |number: Option<i64>| number.and_then(|it| u64::try_from(it).ok());
        let detail = progress_detail.and_then(|it| Some((bytes(it.current)?, bytes(it.total)?)));
        match (status.as_str(), detail) {
            ("Downloading", Some(progress)) if self.0.len() < LAYERS => {
                self.0.insert(id, progress);
            }
            ("Download complete" | "Pull complete", _) => {
                if let Some((current, total)) = self.0.get_mut(&id) {
                    *current = *total;
                }
            }
            _ => {}
        }
    }

    fn sum(&self) -> PullProgress {
        let sum = |which: fn(&(u64, u64)) -> u64| self.0.values().map(which).fold(0, u64::saturating_add);
        PullProgress { current: sum(|it| it.0), total: sum(|it| it.1) }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn repository_has_neither_tag_nor_digest() {
        for (image, name) in [
            ("docker.io/x/y:1", "docker.io/x/y"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x"),
            ("127.0.0.1:5000/x:1@sha256:0", "127.0.0.1:5000/x"),
        ] {
            assert_eq!(repository(image), name);
        }
    }

    #[test]
    fn progress_adds_up_the_layers() {
        let mut layers = Layers::default();
        let hear = |layers: &mut Layers, id: &str, status: &str, detail: Option<(i64, i64)>| {
            layers.hear(CreateImageInfo {
                id: Some(id.to_owned()),
                status: Some(status.to_owned()),
                progress_detail: detail
                    .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
                ..CreateImageInfo::default()
            });
        };
        assert_eq!(layers.sum().to_string(), "pulling image");
        hear(&mut layers, "a", "Downloading", Some((10_000_000, 100_000_000)));
        hear(&mut layers, "b", "Downloading", Some((2_000_000, 20_000_000)));
        assert_eq!(layers.sum().to_string(), "pulling image: 12 of 120 MB");
        hear(&mut layers, "a", "Download complete", None);
        hear(&mut layers, "a", "Extracting", Some((1, 100_000_000)));
        assert_eq!(layers.sum().to_string(), "pulling image: 102 of 120 MB");
        hear(&mut layers, "b", "Pull complete", None);
        assert_eq!(layers.sum().to_string(), "unpacking image");
        hear(&mut layers, "c", "Downloading", Some((-1, -1)));
    }
}
