//! Buffers that all connections of an instance share.
//!
//! A connection takes one when bytes are about to move and gives it back when they have moved, so that a
//! connection at rest holds none. Their content is zeroed when they are made and never again: a buffer that is
//! used a second time still holds bytes of the first, and whoever reads from it keeps to what it wrote.

use crate::cipher::MAX_FRAME_LEN;
use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

/// Length of every buffer, in bytes: three of the longest frames.
///
/// One would do. The room for more lets several frames go by one system call, and lets a writer fill the next
/// one while the one before it waits to be sent.
pub(crate) const BUFFER_LEN: usize = 3 * MAX_FRAME_LEN;

/// Keeps buffers that no connection needs, up to a bound.
pub(crate) struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
    max_idle: usize,
}

impl Pool {
    /// A pool that keeps at most `max_idle` buffers.
    pub(crate) fn new(max_idle: usize) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), max_idle })
    }

    /// A buffer, used before or new.
    pub(crate) fn take(self: &Arc<Self>) -> Buffer {
        let used = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: used.unwrap_or_else(|| vec![0; BUFFER_LEN]), pool: Arc::clone(self) }
    }

    /// How many buffers are kept.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().unwrap().len()
    }

    fn put(&self, bytes: Vec<u8>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.max_idle {
            idle.push(bytes);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("max_idle", &self.max_idle).finish_non_exhaustive()
    }
}

/// A buffer of [`BUFFER_LEN`] bytes that goes back to its pool when dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Buffer {
    /// The bytes from `start` to `end`; none if there are not so many.
    pub(crate) fn range(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The bytes from `start` to `end`, to be changed; none if there are not so many.
    pub(crate) fn range_mut(&mut self, start: usize, end: usize) -> &mut [u8] {
        self.bytes.get_mut(start..end).unwrap_or_default()
    }

    /// Moves the bytes from `start` to `end` to the front.
    pub(crate) fn move_to_front(&mut self, start: usize, end: usize) {
        if start <= end && end <= self.bytes.len() {
            self.bytes.copy_within(start..end, 0);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.put(mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_up_to_the_bound() {
        let pool = Pool::new(1);
        let (mut first, second) = (pool.take(), pool.take());
        first.range_mut(0, 3).copy_from_slice(b"abc");
        drop(first);
        drop(second);
        assert_eq!(pool.idle(), 1);
        assert_eq!(pool.take().range(0, 3), b"abc", "the first one came back, the second was freed");
        assert_eq!(pool.idle(), 1);
    }

    #[test]
    fn ranges_out_of_bounds_are_empty() {
        let mut buffer = Pool::new(0).take();
        assert!(buffer.range(0, BUFFER_LEN + 1).is_empty());
        assert!(buffer.range_mut(2, 1).is_empty());
        assert_eq!(buffer.range(0, BUFFER_LEN).len(), BUFFER_LEN);
    }
}
