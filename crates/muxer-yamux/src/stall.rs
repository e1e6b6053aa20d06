//! Notices a peer that does not read.

use futures::ready;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Measures how long writing has made no progress.
///
/// A bulk transfer waits for room at every few frames. The timer is therefore left to run and only looked at
/// when it fires, so that a wait costs a reading of the clock and no more.
#[derive(Debug)]
pub(crate) struct Stall {
    timeout: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, since: None, timer: None }
    }

    /// Bytes went out, or there are none to send.
    pub(crate) fn progress(&mut self) {
        self.since = None;
    }

    /// Ready once the peer has taken nothing for the timeout. Call it whenever writing has to wait.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let Some(due) = since.checked_add(self.timeout) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn progress_starts_the_wait_anew() {
        let mut stall = Stall::new(Duration::from_secs(30));
        let start = Instant::now();
        assert!(futures::poll!(poll_fn(|cx| stall.poll(cx))).is_pending());
        tokio::time::advance(Duration::from_secs(20)).await;
        stall.progress();
        poll_fn(|cx| stall.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 50);
    }
}
