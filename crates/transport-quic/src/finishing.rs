//! Streams that were finished, and whose data the peer has not acknowledged yet.
//!
//! The close of a QUIC connection takes back all that is on its way (RFC 9000, section 10.2), while the contract has
//! what was finished delivered first. So each stream that is finished is remembered until all of it has arrived.

use quinn::{StoppedError, VarInt};
use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
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
    /// By the ids of their streams, the one finished first in front.
    arrivals: VecDeque<(u64, Arrival)>,
    /// How many have come since the list was looked through.
    added: usize,
    /// How many were left then.
    left: usize,
    /// Whoever waits for all of them. A look in between would otherwise take its place.
    closer: Option<Waker>,
}

impl Finishing {
    /// Remembers a stream that was finished; in a full list, in place of the one that was finished first.
    pub(crate) fn add(&self, id: u64, arrival: Arrival) {
        let mut list = self.lock();
        // As many as were left, so that a stream is looked at twice or so in its life.
        if list.added >= list.left.max(FEW) {
            list.sweep();
        }
        if list.arrivals.len() >= MOST {
            list.arrivals.pop_front();
        }
        list.arrivals.push_back((id, arrival));
        list.added = list.added.saturating_add(1);
    }

    /// Forgets a stream that was reset after all: nothing of it has to arrive any more.
    pub(crate) fn forget(&self, id: u64) {
        let mut list = self.lock();
        list.arrivals.retain(|(known, _)| *known != id);
        if let Some(closer) = list.closer.take() {
            closer.wake();
        }
    }

    /// Waits until all of them have arrived.
    pub(crate) async fn all_arrived(&self) {
        poll_fn(|cx| {
            let mut list = self.lock();
            list.closer = Some(cx.waker().clone());
            list.sweep();
            if list.arrivals.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    /// Forgets those that have arrived.
    fn sweep(&mut self) {
        let closer = self.closer.clone().unwrap_or_else(|| Waker::noop().clone());
        let mut cx = Context::from_waker(&closer);
        self.arrivals.retain_mut(|(_, arrival)| arrival.as_mut().poll(&mut cx).is_pending());
        (self.added, self.left) = (0, self.arrivals.len());
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
    use std::sync::Arc;
    use tokio::sync::oneshot;

    fn pending() -> (oneshot::Sender<VarInt>, Arrival) {
        let (sender, receiver) = oneshot::channel();
        (sender, Box::pin(async { Ok(receiver.await.ok()) }))
    }

    fn len(finishing: &Finishing) -> usize {
        finishing.lock().arrivals.len()
    }

    fn ids(finishing: &Finishing) -> (u64, u64) {
        let list = finishing.lock();
        (list.arrivals.front().unwrap().0, list.arrivals.back().unwrap().0)
    }

    #[tokio::test]
    async fn all_are_waited_for() {
        let finishing = Finishing::default();
        finishing.all_arrived().await;
        let (first, second) = (pending(), pending());
        finishing.add(0, first.1);
        finishing.add(4, second.1);
        let mut all = Box::pin(finishing.all_arrived());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(all.as_mut().poll(&mut cx).is_pending());
        drop(second.0);
        assert!(all.as_mut().poll(&mut cx).is_pending());
        drop(first.0);
        all.await;
        assert_eq!(len(&finishing), 0);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_though_the_list_was_looked_through_meanwhile() {
        let finishing = Arc::new(Finishing::default());
        let mut senders: Vec<_> = (0..FEW as u64)
            .map(|id| {
                let (sender, arrival) = pending();
                finishing.add(id, arrival);
                sender
            })
            .collect();
        let waiting = tokio::spawn({
            let finishing = Arc::clone(&finishing);
            async move { finishing.all_arrived().await }
        });
        tokio::task::yield_now().await;
        // Each of these is more than the list takes without a look.
        let more = 2 * FEW as u64;
        for id in 0..more {
            let (sender, arrival) = pending();
            finishing.add(100 + id, arrival);
            senders.push(sender);
        }
        tokio::task::yield_now().await;
        senders.clear();
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_stream_that_was_reset_is_not_waited_for() {
        let finishing = Arc::new(Finishing::default());
        let (_never, arrival) = pending();
        finishing.add(8, arrival);
        let waiting = tokio::spawn({
            let finishing = Arc::clone(&finishing);
            async move { finishing.all_arrived().await }
        });
        tokio::task::yield_now().await;
        finishing.forget(8);
        waiting.await.unwrap();
    }

    #[test]
    fn what_has_arrived_is_forgotten_and_the_list_is_bounded_to_the_latest() {
        let finishing = Finishing::default();
        for id in 0..10_000 {
            finishing.add(id, Box::pin(async { Ok(None) }));
            assert!(len(&finishing) <= FEW + 1);
        }
        let mut unanswered = Vec::new();
        for id in 0..10_000 {
            let (sender, arrival) = pending();
            unanswered.push(sender);
            finishing.add(id, arrival);
        }
        assert_eq!(len(&finishing), MOST);
        assert_eq!(ids(&finishing), (10_000 - MOST as u64, 9_999));
        unanswered.clear();
        finishing.lock().sweep();
        assert_eq!(len(&finishing), 0);
    }
}
