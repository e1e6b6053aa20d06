//! The two lines between a connection's handle and its driver.
//!
//! They take next to no memory while nobody stands in them, as in most connections most of the time. A channel of tokio
//! takes its memory in blocks of 32 places: 5 KiB for a connection, two fifths of all that it needed.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

/// Places that an empty line may keep.
const KEPT: usize = 16;

/// A bounded line whose head is waited for.
pub(crate) struct Queue<T> {
    line: Mutex<Line<T>>,
    max: usize,
    /// A permit for each entry.
    filled: Semaphore,
}

/// Asks that wait for an answer.
pub(crate) struct Asks<T> {
    line: Mutex<Line<oneshot::Sender<T>>>,
    max: usize,
    /// A permit for each that may still ask.
    room: Semaphore,
}

struct Line<T> {
    entries: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { line: Mutex::default(), max, filled: Semaphore::new(0) }
    }

    /// Gives the entry back if there are too many, or nobody takes them any more.
    pub(crate) fn push(&self, entry: T) -> Result<(), T> {
        let mut line = lock(&self.line);
        if line.closed || line.entries.len() >= self.max {
            return Err(entry);
        }
        line.entries.push_back(entry);
        drop(line);
        self.filled.add_permits(1);
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        lock(&self.line).entries.len() >= self.max
    }

    /// The head, once there is one. `None` after the last one of a closed line. Cancel-safe.
    pub(crate) async fn pop(&self) -> Option<T> {
        if let Ok(permit) = self.filled.acquire().await {
            permit.forget();
        }
        lock(&self.line).pop()
    }

    /// Takes no more. What stands in line is still given out.
    pub(crate) fn close(&self) {
        lock(&self.line).closed = true;
        self.filled.close();
    }

    /// Drops what stands in line, and takes no more.
    pub(crate) fn clear(&self) {
        self.close();
        // Dropped without the lock: what an entry does then is its own business.
        let entries = std::mem::take(&mut lock(&self.line).entries);
        drop(entries);
    }
}

impl<T> Asks<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { line: Mutex::default(), max, room: Semaphore::new(max) }
    }

    /// Waits for a place in line and takes it. The place is free again when the permit is dropped. `None` once the line
    /// is closed.
    pub(crate) async fn ask(&self) -> Option<(oneshot::Receiver<T>, SemaphorePermit<'_>)> {
        let place = self.room.acquire().await.ok()?;
        let (reply, answer) = oneshot::channel();
        let mut line = lock(&self.line);
        if line.closed {
            return None;
        }
        if line.entries.len() >= self.max {
            // Those who left have given back their places, but not their entries.
            line.entries.retain(|reply| !reply.is_closed());
        }
        line.entries.push_back(reply);
        Some((answer, place))
    }

    /// The first who still waits.
    pub(crate) fn next(&self) -> Option<oneshot::Sender<T>> {
        let mut line = lock(&self.line);
        loop {
            let reply = line.pop()?;
            if !reply.is_closed() {
                return Some(reply);
            }
        }
    }

    /// Lets everybody go without an answer, and takes no more.
    pub(crate) fn close(&self) {
        let mut line = lock(&self.line);
        line.closed = true;
        let entries = std::mem::take(&mut line.entries);
        drop(line);
        self.room.close();
        drop(entries);
    }
}

impl<T> Line<T> {
    fn pop(&mut self) -> Option<T> {
        let entry = self.entries.pop_front();
        if self.entries.is_empty() && self.entries.capacity() > KEPT {
            self.entries = VecDeque::new();
        }
        entry
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), closed: false }
    }
}

fn lock<T>(line: &Mutex<Line<T>>) -> MutexGuard<'_, Line<T>> {
    // No code that can panic runs under the lock.
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &lock(&self.line).entries.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Asks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asks").field("len", &lock(&self.line).entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, poll};
    use std::pin::pin;

    #[tokio::test]
    async fn a_queue_is_bounded_and_first_in_is_first_out() {
        let queue = Queue::new(2);
        assert!(poll!(pin!(queue.pop())).is_pending());
        assert_eq!([queue.push(1), queue.push(2), queue.push(3)], [Ok(()), Ok(()), Err(3)]);
        assert!(queue.is_full());
        assert_eq!(queue.pop().await, Some(1));
        queue.close();
        assert_eq!(queue.push(4), Err(4));
        assert_eq!((queue.pop().await, queue.pop().await), (Some(2), None));
    }

    #[tokio::test]
    async fn whoever_stops_waiting_takes_nothing() {
        let queue = Queue::new(8);
        {
            let mut left = pin!(queue.pop());
            assert!(poll!(&mut left).is_pending());
            queue.push(1).unwrap();
        }
        assert_eq!(queue.pop().now_or_never(), Some(Some(1)));
    }

    #[tokio::test]
    async fn a_cleared_queue_is_empty_and_closed() {
        let queue = Queue::new(8);
        queue.push(1).unwrap();
        queue.clear();
        assert_eq!(queue.pop().await, None);
    }

    #[tokio::test]
    async fn an_empty_queue_keeps_little() {
        let queue = Queue::new(1000);
        for i in 0..1000 {
            queue.push(i).unwrap();
        }
        for _ in 0..1000 {
            queue.pop().await;
        }
        assert!(lock(&queue.line).entries.capacity() <= KEPT);
    }

    #[tokio::test]
    async fn asks_beyond_the_bound_wait_and_those_who_left_take_no_place() {
        let asks = Asks::new(2);
        for _ in 0..10 {
            drop(asks.ask().await);
        }
        assert!(lock(&asks.line).entries.len() <= 2);
        let first = asks.ask().await.unwrap();
        let second = asks.ask().await.unwrap();
        assert!(asks.ask().now_or_never().is_none(), "two wait already");
        asks.next().unwrap().send(7).unwrap();
        assert_eq!(first.0.await, Ok(7));
        drop(first.1);
        assert!(asks.ask().now_or_never().is_some());
        asks.close();
        assert!(second.0.await.is_err());
        assert!(asks.ask().await.is_none());
    }
}
