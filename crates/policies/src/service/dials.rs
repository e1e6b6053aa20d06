//! The dials of a service that are under way, within its own future: they end with it.

use futures::{
    StreamExt,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};
use skep_api::{
    PeerId,
    service::{DialFailed, DialManner, NodeControl},
};
use std::{
    collections::HashMap,
    fmt,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// A dial that has ended: with whom, and how.
pub(super) type Ended = (PeerId, Result<u64, DialFailed>);

/// Dials under way, one for a peer at most.
pub(super) struct Dials {
    running: FuturesUnordered<Abortable<BoxFuture<'static, Ended>>>,
    /// In which place each began, and how to end it.
    peers: HashMap<PeerId, (u64, AbortHandle)>,
    begun: u64,
    gauge: Arc<AtomicUsize>,
}

impl Dials {
    /// None yet; `gauge` shows how many there are.
    pub(super) fn new(gauge: Arc<AtomicUsize>) -> Self {
        Self { running: FuturesUnordered::new(), peers: HashMap::new(), begun: 0, gauge }
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Dials a peer that is not being dialled.
    pub(super) fn start(&mut self, node: Arc<dyn NodeControl>, peer: PeerId, manner: DialManner) {
        let one = One::of(&self.gauge);
        let (handle, registration) = AbortHandle::new_pair();
        let dial: BoxFuture<'static, Ended> = Box::pin(async move {
            let _one = one;
            let result = node.dial(&peer, manner).await;
            (peer, result)
        });
        self.running.push(Abortable::new(dial, registration));
        self.begun = self.begun.saturating_add(1);
        self.peers.insert(peer, (self.begun, handle));
    }

    /// The peers being dialled, the last begun first.
    pub(super) fn newest(&self) -> Vec<PeerId> {
        let mut peers: Vec<_> = self.peers.iter().map(|(peer, (begun, _))| (*begun, *peer)).collect();
        peers.sort_unstable_by(|a, b| b.cmp(a));
        peers.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Gives a dial up; nothing more is heard of it.
    pub(super) fn end(&mut self, peer: &PeerId) {
        if let Some((_, handle)) = self.peers.remove(peer) {
            handle.abort();
        }
    }

    /// The next that ends; waits while there is none. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Ended {
        loop {
            match self.running.next().await {
                Some(Ok(ended)) => {
                    self.peers.remove(&ended.0);
                    return ended;
                }
                // It was given up.
                Some(Err(_)) => {}
                None => return pending().await,
            }
        }
    }
}

impl fmt::Debug for Dials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.peers.keys()).finish()
    }
}

/// One dial in the gauge, until it is dropped.
struct One(Arc<AtomicUsize>);

impl One {
    fn of(gauge: &Arc<AtomicUsize>) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(Arc::clone(gauge))
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
