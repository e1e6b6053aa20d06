//! What waits to be sent: sealed frames, and one that is still open for more plaintext.
//!
//! ```text
//! 0        sent              sealed                      end               BUFFER_LEN
//! | gone … | sealed frames … | [header] open plaintext … | [tag] free room … |
//! ```
//!
//! Plaintext is copied once, to the place in its frame where it is then sealed; a write that fills a frame by
//! itself is sealed straight from the writer's buffer. Nothing is ever moved: when the room for another frame is
//! used up, the writer waits until all sealed frames are gone, and filling starts over at the front. That is the
//! back-pressure, too.

use crate::{
    buffer::{BUFFER_LEN, Buffer, Pool},
    cipher::{HEADER_LEN, MAX_FRAME_LEN, MAX_PLAIN_LEN, Sealer, TAG_LEN},
    error::FrameError,
};
use skep_api::BoxIo;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// The sending half of a session.
#[derive(Debug)]
pub(crate) struct Outgoing {
    sealer: Sealer,
    pool: Arc<Pool>,
    /// None while nothing waits.
    buffer: Option<Buffer>,
    sent: usize,
    sealed: usize,
    /// End of the open frame's plaintext; equal to `sealed` when no frame is open.
    end: usize,
}

impl Outgoing {
    /// A half that sends `first`, the last message of the handshake or nothing, ahead of all frames.
    pub(crate) fn new(sealer: Sealer, pool: Arc<Pool>, first: &[u8]) -> Self {
        let mut this = Self { sealer, pool, buffer: None, sent: 0, sealed: 0, end: 0 };
        if !first.is_empty() {
            let mut buffer = this.pool.take();
            buffer.range_mut(0, first.len()).copy_from_slice(first);
            (this.sealed, this.end) = (first.len(), first.len());
            this.buffer = Some(buffer);
        }
        this
    }

    /// Sealed bytes that wait to be sent.
    pub(crate) fn ready_len(&self) -> usize {
        self.sealed - self.sent
    }

    /// Whether the next [`Outgoing::append`] takes anything.
    pub(crate) fn has_room(&self) -> bool {
        self.is_open() || BUFFER_LEN - self.sealed >= MAX_FRAME_LEN
    }

    /// Takes as much of `data` as there is room for and says how much; seals the frames that are full.
    pub(crate) fn append(&mut self, data: &[u8]) -> Result<usize, FrameError> {
        let mut rest = data;
        while !rest.is_empty() && self.has_room() {
            let taken = if !self.is_open() && rest.len() >= MAX_PLAIN_LEN {
                self.seal_whole(rest.get(..MAX_PLAIN_LEN).unwrap_or_default())?
            } else {
                self.fill(rest)?
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(data.len() - rest.len())
    }

    /// Seals the open frame, if there is one.
    pub(crate) fn seal(&mut self) -> Result<(), FrameError> {
        if !self.is_open() {
            return Ok(());
        }
        let end = self.end + TAG_LEN;
        let buffer = self.buffer.get_or_insert_with(|| self.pool.take());
        self.sealer.seal_in_place(buffer.range_mut(self.sealed, end))?;
        (self.sealed, self.end) = (end, end);
        Ok(())
    }

    /// Sends all sealed frames, as many bytes at a time as the stream below takes.
    pub(crate) fn poll_send(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(buffer) = self.buffer.as_ref().filter(|_| self.sent < self.sealed) {
            let n = ready!(Pin::new(&mut *io).poll_write(cx, buffer.range(self.sent, self.sealed)))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = self.sealed.min(self.sent.saturating_add(n));
        }
        if !self.is_open() {
            (self.sent, self.sealed, self.end) = (0, 0, 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Gives the buffer back if nothing waits.
    pub(crate) fn release(&mut self) {
        if self.end == 0 {
            self.buffer = None;
        }
    }

    /// Seals a full frame straight from the writer's buffer.
    fn seal_whole(&mut self, plain: &[u8]) -> Result<usize, FrameError> {
        let end = self.sealed + HEADER_LEN + plain.len() + TAG_LEN;
        let buffer = self.buffer.get_or_insert_with(|| self.pool.take());
        self.sealer.seal_from(plain, buffer.range_mut(self.sealed, end))?;
        (self.sealed, self.end) = (end, end);
        Ok(plain.len())
    }

    /// Copies to the open frame, or a new one, what still fits into it.
    fn fill(&mut self, data: &[u8]) -> Result<usize, FrameError> {
        let start = if self.is_open() { self.end } else { self.sealed + HEADER_LEN };
        let limit = self.sealed + HEADER_LEN + MAX_PLAIN_LEN;
        let n = data.len().min(limit - start);
        let buffer = self.buffer.get_or_insert_with(|| self.pool.take());
        buffer.range_mut(start, start + n).copy_from_slice(data.get(..n).unwrap_or_default());
        self.end = start + n;
        if self.end == limit {
            self.seal()?;
        }
        Ok(n)
    }

    fn is_open(&self) -> bool {
        self.end > self.sealed
    }
}
