//! The line of streams that the peer opened and the application has not accepted.

use crate::stream::MplexStream;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// A bounded line whose head is waited for.
#[derive(Debug)]
pub(crate) struct Accepted {
    line: Mutex<Line>,
    max: usize,
    /// Tells everybody who waits that the line has changed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Line {
    streams: VecDeque<MplexStream>,
    closed: bool,
}

impl Accepted {
    pub(crate) fn new(max: usize) -> Self {
        Self { line: Mutex::default(), max, changed: Notify::new() }
    }

    /// Gives the stream back if nobody takes streams any more.
    pub(crate) fn push(&self, stream: MplexStream) -> Result<(), MplexStream> {
        let mut line = self.lock();
        if line.closed {
            return Err(stream);
        }
        line.streams.push_back(stream);
        drop(line);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Whether the line is full when so many more are on their way to it.
    pub(crate) fn is_full(&self, coming: usize) -> bool {
        self.lock().streams.len().saturating_add(coming) >= self.max
    }

    /// The head, once there is one. `None` after the last one of a closed line. Cancel-safe.
    pub(crate) async fn pop(&self) -> Option<MplexStream> {
        loop {
            // Made before the look, so that no change in between is missed.
            let changed = self.changed.notified();
            {
                let mut line = self.lock();
                if let Some(stream) = line.streams.pop_front() {
                    return Some(stream);
                }
                if line.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Takes no more. What stands in line is still given out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Drops what stands in line, and takes no more.
    pub(crate) fn clear(&self) {
        self.close();
        // Dropped without the lock: what a stream does then is its own business.
        let streams = std::mem::take(&mut self.lock().streams);
        drop(streams);
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // No code that can panic runs under the lock.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
