//! Changes of a model node: a bounded queue for every subscriber, and what the peer store discovers.

use async_trait::async_trait;
use skep_api::{
    PeerId,
    service::{Change, Changes},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::sync::{Notify, mpsc};

/// What waits for one subscriber.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    more: Notify,
    cap: usize,
}

#[derive(Debug, Default)]
struct State {
    changes: VecDeque<Change>,
    ended: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, change: &Change) {
        let mut state = self.lock();
        if state.changes.len() < self.cap {
            state.changes.push_back(change.clone());
        } else if !matches!(state.changes.back(), Some(Change::Missed)) {
            state.changes.push_back(Change::Missed);
        }
        drop(state);
        self.more.notify_one();
    }

    fn miss(&self) {
        let mut state = self.lock();
        state.changes.clear();
        state.changes.push_back(Change::Missed);
        drop(state);
        self.more.notify_one();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.more.notify_one();
    }
}

/// Those who want to know.
#[derive(Debug)]
pub(super) struct Subscribers {
    queues: Vec<Weak<Queue>>,
    pub(super) cap: usize,
    ended: bool,
}

impl Subscribers {
    pub(super) fn new(cap: usize) -> Self {
        Self { queues: Vec::new(), cap, ended: false }
    }

    pub(super) fn add(&mut self, discoveries: Option<mpsc::Receiver<PeerId>>) -> Subscription {
        let queue = Arc::new(Queue { state: Mutex::default(), more: Notify::new(), cap: self.cap });
        if self.ended {
            queue.end();
        }
        self.queues.retain(|queue| queue.strong_count() > 0);
        self.queues.push(Arc::downgrade(&queue));
        Subscription { queue, discoveries }
    }

    pub(super) fn live(&self) -> usize {
        self.all().count()
    }

    pub(super) fn tell(&self, change: &Change) {
        self.all().for_each(|queue| queue.push(change));
    }

    pub(super) fn miss(&self) {
        self.all().for_each(|queue| queue.miss());
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.all().for_each(|queue| queue.end());
    }

    fn all(&self) -> impl Iterator<Item = Arc<Queue>> {
        self.queues.iter().filter_map(Weak::upgrade)
    }
}

/// The end of one subscriber.
#[derive(Debug)]
pub(super) struct Subscription {
    queue: Arc<Queue>,
    /// `None` once they have ended.
    discoveries: Option<mpsc::Receiver<PeerId>>,
}

#[async_trait]
impl Changes for Subscription {
    async fn next(&mut self) -> Option<Change> {
        loop {
            {
                let mut state = self.queue.lock();
                if let Some(change) = state.changes.pop_front() {
                    return Some(change);
                }
                if state.ended {
                    return None;
                }
            }
            let Some(discoveries) = &mut self.discoveries else {
                self.queue.more.notified().await;
                continue;
            };
            tokio::select! {
                biased;
                () = self.queue.more.notified() => {}
                peer = discoveries.recv() => match peer {
                    Some(peer) => return Some(Change::Discovered { peer }),
                    None => self.discoveries = None,
                },
            }
        }
    }
}
