//! Streams that were finished, and whose data the peer has not acknowledged yet.
//!
//! The close of a QUIC connection takes back all that is on its way (RFC 9000, section 10.2), while the contract has
//! what was finished delivered first. So each stream that is finished is remembered until all of it has arrived.

use quinn::{StoppedError, VarInt};
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

/// The most streams that are waited for. A peer that acknowledges nothing cannot make the list longer.
const MOST: usize = 1_024;

/// From how many on the list is first looked through.
const FEW: usize = 16;

/// Ends when all data of a stream has arrived, or the peer wants no more of it, or the connection has ended.
pub(crate) type Arrival = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send + Sync>>;

/// The finished streams of one connection.
#[derive(Default)]
pub(crate) struct Finishing(Mutex<List>);

#[derive(Default)]
struct List {
    arrivals: Vec<Arrival>,
    /// How long the list may grow before it is looked through again.
    room: usize,
}

impl Finishing {
    /// Remembers a stream that was finished.
    pub(crate) fn add(&self, arrival: Arrival) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.arrivals.len() >= list.room.max(FEW) {
            list.sweep(&mut Context::from_waker(Waker::noop()));
            // Twice as many as are left, so that a stream is looked at twice or so in its life.
            list.room = list.arrivals.len().saturating_mul(2).min(MOST);
        }
        if list.arrivals.len() < MOST {
            list.arrivals.push(arrival);
        }
    }

    /// Waits until all of them have arrived.
    pub(crate) async fn all_arrived(&self) {
        poll_fn(|cx| {
            let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            list.sweep(cx);
            if list.arrivals.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl List {
    /// Forgets those that have arrived.
    fn sweep(&mut self, cx: &mut Context<'_>) {
        self.arrivals.retain_mut(|arrival| arrival.as_mut().poll(cx).is_pending());
    }
}

impl fmt::Debug for Finishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finishing").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn pending() -> (oneshot::Sender<VarInt>, Arrival) {
        let (sender, receiver) = oneshot::channel();
        (sender, Box::pin(async { Ok(receiver.await.ok()) }))
    }

    fn len(finishing: &Finishing) -> usize {
        finishing.0.lock().unwrap().arrivals.len()
    }

    #[tokio::test]
    async fn all_are_waited_for() {
        let finishing = Finishing::default();
        finishing.all_arrived().await;
        let (first, second) = (pending(), pending());
        finishing.add(first.1);
        finishing.add(second.1);
        let mut all = Box::pin(finishing.all_arrived());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(all.as_mut().poll(&mut cx).is_pending());
        drop(second.0);
        assert!(all.as_mut().poll(&mut cx).is_pending());
        drop(first.0);
        all.await;
        assert_eq!(len(&finishing), 0);
    }

    #[test]
    fn what_has_arrived_is_forgotten_and_the_list_is_bounded() {
        let finishing = Finishing::default();
        for _ in 0..10_000 {
            finishing.add(Box::pin(async { Ok(None) }));
            assert!(len(&finishing) <= FEW);
        }
        let mut unanswered = Vec::new();
        for _ in 0..10_000 {
            let (sender, arrival) = pending();
            unanswered.push(sender);
            finishing.add(arrival);
        }
        assert_eq!(len(&finishing), MOST);
        unanswered.clear();
        finishing.add(Box::pin(async { Ok(None) }));
        assert!(len(&finishing) <= 1);
    }
}
