//! Waiting for something to become true. Tests sleep here and nowhere else.

use std::time::Duration;

use tokio::time::{sleep, timeout};

const PAUSE: Duration = Duration::from_millis(20);

/// Polls `probe` until it has an answer.
///
/// # Panics
/// With `what` once `deadline` has passed, also when a probe hangs.
pub async fn until<T>(deadline: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let poll = async {
        loop {
            if let Some(answer) = probe().await {
                return answer;
            }
            sleep(PAUSE).await;
        }
    };
    match timeout(deadline, poll).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {deadline:?} in vain for {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_as_soon_as_the_probe_does() {
        let mut polls = 0;
        let answer = until(Duration::from_secs(5), "the third poll", async || {
            polls += 1;
            (polls == 3).then_some("three")
        })
        .await;
        assert_eq!(answer, "three");
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for a blue moon")]
    async fn panics_with_what_it_waited_for() {
        until(Duration::from_millis(50), "a blue moon", async || None::<()>).await;
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for a probe that hangs")]
    async fn hanging_probe_keeps_the_deadline() {
        until(Duration::from_millis(50), "a probe that hangs", async || std::future::pending::<Option<()>>().await)
            .await;
    }
}
