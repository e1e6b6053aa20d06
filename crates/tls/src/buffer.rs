//! Buffers that all connections of a node share.
//!
//! A connection takes one when bytes are about to move and gives it back when they have moved, so that a
//! connection at rest holds none. Their content is zeroed when they are made and never again: a buffer that is
//! used a second time still holds bytes of the first, and whoever reads from it keeps to what it wrote.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

/// Length of every buffer, in bytes: what eight full records of TLS take, so that many of them go by one system call.
pub(crate) const BUFFER_LEN: usize = 8 * (5 + 16_384 + 256);

/// Keeps the buffers that no connection needs, up to a bound; cheap to clone.
#[derive(Clone)]
pub struct Buffers(Arc<Pool>);

struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
    max_idle: usize,
}

impl Buffers {
    /// Keeps at most `max_idle` buffers of 130 KiB.
    #[must_use]
    pub fn new(max_idle: usize) -> Self {
        Self(Arc::new(Pool { idle: Mutex::default(), max_idle }))
    }

    /// A buffer, used before or new.
    pub(crate) fn take(&self) -> Buffer {
        let used = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: used.unwrap_or_else(|| vec![0; BUFFER_LEN]), pool: self.clone() }
    }

    /// A buffer that begins with these bytes; none if they are too many.
    pub(crate) fn take_with(&self, first: &[u8]) -> Option<Buffer> {
        let mut buffer = self.take();
        buffer.bytes.get_mut(..first.len())?.copy_from_slice(first);
        Some(buffer)
    }

    /// How many buffers are kept.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn put(&self, bytes: Vec<u8>) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.0.max_idle {
            idle.push(bytes);
        }
    }
}

impl Default for Buffers {
    /// Keeps at most 64, which take 8 MiB.
    fn default() -> Self {
        Self::new(64)
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("max_idle", &self.0.max_idle).finish_non_exhaustive()
    }
}

/// A buffer of [`BUFFER_LEN`] bytes that goes back to its pool when dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    pool: Buffers,
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
        let pool = Buffers::new(1);
        let (mut first, second) = (pool.take(), pool.take());
        first.range_mut(0, 3).copy_from_slice(b"abc");
        drop(first);
        drop(second);
        assert_eq!(pool.idle(), 1);
        assert_eq!(pool.take().range(0, 3), b"abc", "the first one came back, the second was freed");
        assert_eq!(pool.idle(), 1);
    }

    #[test]
    fn what_does_not_fit_into_a_buffer_is_not_taken() {
        let pool = Buffers::new(1);
        assert_eq!(pool.take_with(b"abc").unwrap().range(0, 3), b"abc");
        assert!(pool.take_with(&vec![7; BUFFER_LEN]).is_some());
        assert!(pool.take_with(&vec![7; BUFFER_LEN + 1]).is_none());
        assert_eq!(pool.idle(), 1);
    }

    #[test]
    fn ranges_out_of_bounds_are_empty() {
        let mut buffer = Buffers::new(0).take();
        assert!(buffer.range(0, BUFFER_LEN + 1).is_empty());
        assert!(buffer.range_mut(2, 1).is_empty());
        assert_eq!(buffer.range(0, BUFFER_LEN).len(), BUFFER_LEN);
    }
}
