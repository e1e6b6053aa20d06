//! A bounded queue for every subscriber. Nobody who is slow holds up the node, or another subscriber.

use super::Event;
use std::{
    collections::VecDeque,
    ops::BitOr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// Events that a subscriber may be behind before it misses the oldest.
const QUEUE: usize = 1024;

/// Kinds of events, to be joined by `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKinds(u8);

impl EventKinds {
    /// Connections, those that are pruned, inbound failures and connectedness.
    pub const CONNECTIONS: Self = Self(1);
    /// Listeners and their addresses.
    pub const LISTENERS: Self = Self(2);
    /// Streams: many, on a busy node.
    pub const STREAMS: Self = Self(4);
    /// All of them.
    pub const ALL: Self = Self(7);

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for EventKinds {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Those who have subscribed.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    queues: Mutex<Queues>,
    /// The kinds that somebody wants.
    wanted: AtomicU8,
    missed: AtomicU64,
}

#[derive(Debug, Default)]
struct Queues {
    all: Vec<Arc<Queue>>,
    closed: bool,
}

#[derive(Debug)]
struct Queue {
    kinds: EventKinds,
    state: Mutex<State>,
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    missed: u64,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscribers {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is worth making an event of this kind.
    pub(crate) fn want(&self, kind: EventKinds) -> bool {
        EventKinds(self.wanted.load(Ordering::Relaxed)).has(kind)
    }

    pub(crate) fn subscribe(self: &Arc<Self>, kinds: EventKinds) -> Events {
        let mut queues = self.lock();
        // After the end there is nothing to wait for.
        let state = State { closed: queues.closed, ..State::default() };
        let queue = Arc::new(Queue { kinds, state: Mutex::new(state), more: Notify::new() });
        queues.all.push(Arc::clone(&queue));
        self.recount(&queues.all);
        Events { queue, subscribers: Arc::clone(self) }
    }

    /// Puts an event into the queue of each who wants it. Never waits.
    pub(crate) fn emit(&self, event: &Event) {
        let kind = event.kind();
        if !self.want(kind) {
            return;
        }
        for queue in self.lock().all.iter().filter(|queue| queue.kinds.has(kind)) {
            let mut state = queue.lock();
            if state.events.len() >= QUEUE {
                state.events.pop_front();
                state.missed = state.missed.saturating_add(1);
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
            state.events.push_back(event.clone());
            drop(state);
            queue.more.notify_one();
        }
    }

    /// Events that subscribers were too slow for, all together.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().all.len()
    }

    /// The events that wait in the fullest queue.
    pub(crate) fn longest(&self) -> usize {
        self.lock().all.iter().map(|queue| queue.lock().events.len()).max().unwrap_or(0)
    }

    /// There will be no more: whoever waits gets what is left, then `None`.
    pub(crate) fn close(&self) {
        let mut queues = self.lock();
        queues.closed = true;
        for queue in &queues.all {
            queue.lock().closed = true;
            queue.more.notify_one();
        }
    }

    fn recount(&self, queues: &[Arc<Queue>]) {
        let wanted = queues.iter().fold(0, |wanted, queue| wanted | queue.kinds.0);
        self.wanted.store(wanted, Ordering::Relaxed);
    }
}

/// Receives events from the moment of subscribing. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
    subscribers: Arc<Subscribers>,
}

impl Events {
    /// The next event; `None` after the last event of a node that is gone. A subscriber that is more than 1024 events
    /// behind misses the oldest ones, which [`Events::missed`] counts; it never holds up the node. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            {
                let mut state = self.queue.lock();
                if let Some(event) = state.events.pop_front() {
                    return Some(event);
                }
                if state.closed {
                    return None;
                }
            }
            self.queue.more.notified().await;
        }
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.queue.lock().events.pop_front()
    }

    /// How many events this subscriber was too slow for.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.queue.lock().missed
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut queues = self.subscribers.lock();
        queues.all.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.subscribers.recount(&queues.all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(n: usize) -> Event {
        Event::Listening(format!("/memory/{}", n + 1).parse().unwrap())
    }

    #[tokio::test]
    async fn the_slow_miss_the_oldest_and_hold_up_nobody() {
        let subscribers = Arc::new(Subscribers::default());
        let (mut slow, mut quick) =
            (subscribers.subscribe(EventKinds::ALL), subscribers.subscribe(EventKinds::ALL));
        for n in 0..QUEUE + 10 {
            subscribers.emit(&listening(n));
            assert!(quick.next().await.is_some());
        }
        assert_eq!((slow.missed(), quick.missed(), subscribers.missed()), (10, 0, 10));
        let Some(Event::Listening(first)) = slow.next().await else { panic!("no event") };
        assert_eq!(first.to_string(), "/memory/11");
    }

    #[tokio::test]
    async fn only_what_is_wanted_is_queued_and_dropping_unsubscribes() {
        let subscribers = Arc::new(Subscribers::default());
        assert!(!subscribers.want(EventKinds::LISTENERS));
        let mut streams = subscribers.subscribe(EventKinds::STREAMS | EventKinds::CONNECTIONS);
        assert!(subscribers.want(EventKinds::CONNECTIONS) && !subscribers.want(EventKinds::LISTENERS));
        subscribers.emit(&listening(0));
        assert!(streams.try_next().is_none());
        drop(streams);
        assert!(!subscribers.want(EventKinds::ALL));
        assert_eq!(subscribers.len(), 0);
    }

    #[tokio::test]
    async fn what_is_left_is_read_after_the_end() {
        let subscribers = Arc::new(Subscribers::default());
        let mut events = subscribers.subscribe(EventKinds::ALL);
        subscribers.emit(&listening(0));
        subscribers.close();
        assert!(events.next().await.is_some());
        assert!(events.next().await.is_none());
        assert!(subscribers.subscribe(EventKinds::ALL).next().await.is_none());
    }
}
