//! The signal that ends everything.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the next SIGTERM (Kubernetes, `systemctl stop`) or SIGINT (Ctrl-C). A program that has asked once is not
/// ended by these signals any more, only by what it does about them.
///
/// # Errors
/// Where the handlers cannot be installed.
pub async fn requested() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
