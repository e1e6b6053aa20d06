//! Deadlines of reading and writing.

use skep_api::stream::StreamError;
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The deadlines of a stream.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    pub(super) read: Deadline,
    pub(super) write: Deadline,
}

/// One of them. The timer is there while there is a deadline.
#[derive(Debug, Default)]
pub(super) struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    pub(super) fn set(&mut self, deadline: Option<Instant>) {
        match (&mut self.0, deadline) {
            (Some(timer), Some(deadline)) => timer.as_mut().reset(deadline),
            (timer, deadline) => *timer = deadline.map(|deadline| Box::pin(sleep_until(deadline))),
        }
    }

    /// What has to wait does so until the deadline.
    pub(super) fn or<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(timer) = self.0.as_mut().filter(|_| result.is_pending()) else { return result };
        timer.as_mut().poll(cx).map(|()| Err(StreamError::DeadlineExceeded.into()))
    }
}
