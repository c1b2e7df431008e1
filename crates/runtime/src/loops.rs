//! The driver of background loops.
//!
//! A program registers each loop where it is composed: its name, period, bell and component. A round that fails is
//! logged and tried again. The component shows a loop that is stuck or fails.

use std::{
    fmt::Display,
    future::{Pending, pending},
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::health::Component;

/// Background loop.
#[must_use]
pub struct Loop<B = fn() -> Pending<()>> {
    name: &'static str,
    period: Duration,
    rest: Duration,
    rest_share: u32,
    retry: Option<Duration>,
    flushes: bool,
    component: Option<Component>,
    bell: B,
}

/// Answer of a round that went well.
pub trait Round {
    /// Longest pause until the next round; `None` for the period.
    fn pause(self) -> Option<Duration>;
}

impl Round for () {
    fn pause(self) -> Option<Duration> {
        None
    }
}

impl Round for Option<Duration> {
    fn pause(self) -> Option<Duration> {
        self
    }
}

impl Loop {
    /// Creates a loop with this name in the log, and at most this long between two rounds.
    pub fn new(name: &'static str, period: Duration) -> Self {
        let (rest, bell) = (Duration::ZERO, pending::<()> as fn() -> Pending<()>);
        Self { name, period, rest, rest_share: 0, retry: None, flushes: false, component: None, bell }
    }
}

impl<B: AsyncFnMut()> Loop<B> {
    /// Ends a pause whenever the bell resolves.
    pub fn bell<C: AsyncFnMut()>(self, bell: C) -> Loop<C> {
        let Self { name, period, rest, rest_share, retry, flushes, component, bell: _ } = self;
        Loop { name, period, rest, rest_share, retry, flushes, component, bell }
    }

    /// Reports every round to this component.
    pub fn component(self, component: Component) -> Self {
        Self { component: Some(component), ..self }
    }

    /// Rests after every round, whatever the bell says: this long, or `share` times as long as the round took.
    pub fn rest(self, least: Duration, share: u32) -> Self {
        Self { rest: least, rest_share: share, ..self }
    }

    /// Tries a failed round again after this long, whatever the bell says, instead of at the next bell or period.
    pub fn retry(self, after: Duration) -> Self {
        Self { retry: Some(after), ..self }
    }

    /// Does one more round after the stop, so that nothing gathered is lost.
    pub fn flush(self) -> Self {
        Self { flushes: true, ..self }
    }

    /// Runs rounds until `stop`, the first at once. No round is cut off.
    pub async fn run<R: Round, E: Display>(
        mut self,
        stop: CancellationToken,
        mut round: impl AsyncFnMut() -> Result<R, E>,
    ) {
        loop {
            let is_last = stop.is_cancelled();
            if is_last && !self.flushes {
                return;
            }
            let began = Instant::now();
            let done = round().await;
            self.report(&done);
            if is_last {
                return;
            }
            stop.run_until_cancelled(self.pause(done.ok(), began.elapsed())).await;
        }
    }

    fn report<R, E: Display>(&self, done: &Result<R, E>) {
        if let Err(error) = done {
            tracing::warn!(job = self.name, %error, "background job failed");
        }
        match (&self.component, done) {
            (Some(component), Ok(_)) => component.ok(),
            (Some(component), Err(error)) => component.trouble(&error.to_string()),
            (None, _) => {}
        }
    }

    /// Pauses after a round, given its answer if it went well.
    async fn pause(&mut self, done: Option<impl Round>, took: Duration) {
        if let (None, Some(retry)) = (&done, self.retry) {
            return sleep(retry).await;
        }
        sleep(self.rest.max(took * self.rest_share)).await;
        let longest = done.and_then(Round::pause).unwrap_or(self.period).min(self.period);
        tokio::select! {
            () = sleep(longest) => {}
            () = (self.bell)() => {}
        }
    }
}

/// Resolves when the bell rings. A bell whose sender is gone never rings again.
pub async fn rung(bell: &mut watch::Receiver<()>) {
    if bell.changed().await.is_err() {
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Notify, mpsc};

    use super::*;
    use crate::Health;

    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn bell_begins_a_round_before_its_period() {
        let (bell, stop) = (Notify::new(), CancellationToken::new());
        let (tell, mut told) = mpsc::unbounded_channel();
        let rings = Loop::new("test", NEVER).bell(async || bell.notified().await);
        let run = rings.run(stop.clone(), async || tell.send(()));
        let drive = async {
            told.recv().await;
            bell.notify_one();
            told.recv().await;
            stop.cancel();
        };
        tokio::join!(run, drive);
        assert!(told.is_empty());
    }

    #[tokio::test]
    async fn failed_round_is_shown_and_tried_again() {
        let (health, stop) = (Health::default(), CancellationToken::new());
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut rounds = 0;
        let fails = Loop::new("test", NEVER).retry(Duration::from_millis(1)).component(health.optional("test", NEVER));
        let run = fails.run(stop.clone(), async || {
            rounds += 1;
            let why = health.report().components["test"].why.clone();
            let _ = tell.send(why.unwrap_or_default());
            if rounds == 1 { Err("away") } else { Ok(()) }
        });
        let drive = async {
            assert_eq!(told.recv().await.as_deref(), Some("not yet started"));
            assert_eq!(told.recv().await.as_deref(), Some("away"));
            stop.cancel();
        };
        tokio::join!(run, drive);
        assert_eq!(health.report().status, "ok");
    }

    #[tokio::test]
    async fn stop_ends_a_pause_and_flushes() {
        for flushes in [false, true] {
            let stop = CancellationToken::new();
            let (tell, mut told) = mpsc::unbounded_channel();
            let setup = Loop { flushes, ..Loop::new("test", NEVER) };
            let run = setup.run(stop.clone(), async || tell.send(()));
            let drive = async {
                told.recv().await;
                stop.cancel();
            };
            tokio::join!(run, drive);
            assert_eq!(told.len(), usize::from(flushes));
        }
    }
}
