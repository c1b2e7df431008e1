//! Console of a server, as the cluster keeps it: the lines of the game's container, each with the time at which it was
//! read. A pod's lines vanish with the pod.

use std::pin::pin;

use agis_servers::console::{
    Begin, ConsoleError, Piece,
    stamped::{Log, Mark, passed, piece},
};
use chrono::Utc;
use futures_util::AsyncReadExt;
use k8s_openapi::jiff;
use kube::{ResourceExt, api::LogParams};
use tokio::sync::Semaphore;

use crate::{
    cluster::{Cluster, GONE, Trouble, ask},
    gameserver::GameServer,
    template,
};

/// Maximum size of a log that one request fetches, in bytes.
const BYTES: usize = 1 << 20;
/// Maximum size of a request if the smaller one brings nothing new, in bytes. A log starts at a whole second, and one
/// second may have more. A kubelet keeps 10 MiB of a log by default.
const BYTES_OF_A_SECOND: usize = 16 << 20;
/// Maximum number of requests at once, so many followers of busy servers do not fill the memory.
static LARGE: Semaphore = Semaphore::const_new(2);

pub(crate) async fn lines(
    cluster: &Cluster,
    gameserver: Option<&GameServer>,
    begin: &Begin,
    limit: u32,
) -> Result<Piece, ConsoleError> {
    let from = Mark::of(begin)?;
    let Some(gameserver) = gameserver else { return Ok(from.nothing()) };
    let mut params = LogParams {
        container: container(gameserver),
        // The request has a resolution of one second. Earlier lines of that second are dropped below.
        since_time: from.second().and_then(|second| jiff::Timestamp::from_second(second).ok()),
        tail_lines: match begin {
            Begin::Recent { tail, .. } => tail.map(i64::from),
            Begin::Behind(_) => None,
        },
        timestamps: true,
        ..LogParams::default()
    };
    let fetched = async |bytes: usize, params: &mut LogParams| {
        params.limit_bytes = i64::try_from(bytes).ok();
        match ask(fetch(cluster, &gameserver.name_any(), params)).await {
            Ok(log) => {
                let log = Log { is_cut: log.len() >= bytes, bytes: log, ..Log::default() };
                Ok(piece(&log, from, limit, Utc::now()))
            }
            // The pod is gone, or its container has not started.
            Err(Trouble::Refused { code: GONE | 400, .. }) => Ok(from.nothing()),
            Err(Trouble::Refused { why, .. } | Trouble::Busy(why) | Trouble::Unknown(why)) => {
                Err(ConsoleError::Unavailable(why))
            }
        }
    };
    let is_stuck = |piece: &Piece| piece.more && piece.lines.is_empty();
    let first = fetched(BYTES, &mut params).await?;
    if !is_stuck(&first) {
        return Ok(first);
    }
    let _permit = LARGE.acquire().await;
    let second = fetched(BYTES_OF_A_SECOND, &mut params).await?;
    if !is_stuck(&second) {
        return Ok(second);
    }
    Ok(passed(from))
}

/// Fetches a log as bytes, since a game may write any, and the log may be cut anywhere in a character.
async fn fetch(cluster: &Cluster, pod: &str, params: &LogParams) -> kube::Result<Vec<u8>> {
    let mut log = vec![];
    pin!(cluster.pods.log_stream(pod, params).await?).read_to_end(&mut log).await.map_err(kube::Error::ReadEvents)?;
    Ok(log)
}

fn container(gameserver: &GameServer) -> Option<String> {
    let mut spec = gameserver.spec.clone();
    template::container(&mut spec)?["name"].as_str().map(str::to_owned)
}
