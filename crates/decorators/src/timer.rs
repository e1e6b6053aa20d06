//! A timer that waits for one moment after another.

use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer; it is made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits until then, or not at all if that is past.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, then: Instant) -> Poll<()> {
        if then <= Instant::now() {
            return Poll::Ready(());
        }
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(then)));
        if sleep.deadline() != then {
            sleep.as_mut().reset(then);
        }
        sleep.as_mut().poll(cx)
    }
}
