//! How a connection is closed in order. Mplex has no word for it: the end of the stream below is the close.

use crate::{
    link::{Link, lock},
    streams::Streams,
};
use std::{
    future::Future,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// How long a closed connection waits for the peer to close its side. Closing earlier could make the operating system
/// throw away what the peer has not read yet.
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes that are read and thrown away meanwhile, so that a peer that writes gets to read.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;

/// How far the close has come.
#[derive(Debug)]
pub(crate) struct Farewell {
    /// Set when everything is sent and the writing side is closed.
    linger: Option<Pin<Box<Sleep>>>,
    budget: usize,
    peer_has_ended: bool,
}

impl Farewell {
    pub(crate) fn new() -> Self {
        Self { linger: None, budget: MAX_DISCARDED, peer_has_ended: false }
    }

    /// Sends all that streams have written and finished, then the end. `flushed` says whether the crate has handed down
    /// what it was given. Ready when there is nothing left to do.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        link: &Mutex<Link>,
        streams: &Streams,
        flushed: bool,
    ) -> Poll<()> {
        let mut link = lock(link);
        if link.has_failed() {
            return Poll::Ready(());
        }
        if !self.peer_has_ended {
            self.peer_has_ended = link.poll_discard(cx, &mut self.budget).is_ready();
        }
        if self.linger.is_none() {
            if !flushed || streams.has_unsent() {
                return Poll::Pending;
            }
            ready!(link.poll_shutdown(cx));
        }
        let linger = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if self.peer_has_ended { Poll::Ready(()) } else { linger.as_mut().poll(cx) }
    }
}
