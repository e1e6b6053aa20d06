//! The direction that this node writes.

use crate::cipher::{Keystream, NONCE_LEN, Nonce};
use skep_api::BoxIo;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// Most bytes that are encrypted at a time.
const MAX_BATCH: usize = 64 * 1024;

/// Encrypts what is written and sends it.
///
/// Bytes are encrypted once, when they are taken. What the stream below does not take of them waits in `batch`, so
/// that the key stream never has to go back.
pub(crate) struct Outgoing {
    keystream: Keystream,
    /// Encrypted bytes; those before `sent` are with the stream below.
    batch: Vec<u8>,
    sent: usize,
    /// The nonce, until the first bytes that it goes out with are there.
    nonce: Option<Nonce>,
}

impl Outgoing {
    /// A direction whose nonce is still to be sent.
    pub(crate) fn with_nonce(keystream: Keystream, nonce: Nonce) -> Self {
        Self { keystream, batch: Vec::new(), sent: 0, nonce: Some(nonce) }
    }

    /// A direction whose nonce is sent.
    pub(crate) fn new(keystream: Keystream) -> Self {
        Self { keystream, batch: Vec::new(), sent: 0, nonce: None }
    }

    /// Takes as much as fits into a batch, once the one before is sent, and begins to send it.
    pub(crate) fn poll_write<'a>(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
        slices: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(io, cx))?;
        let wanted = slices.clone().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let taken = wanted.min(MAX_BATCH);
        self.begin(taken);
        let start = self.batch.len();
        for slice in slices {
            let room = taken.saturating_sub(self.batch.len().saturating_sub(start));
            self.batch.extend_from_slice(slice.get(..room).unwrap_or(slice));
        }
        self.keystream.apply(self.batch.get_mut(start..).unwrap_or_default())?;
        // Pending is no concern of this write, which has taken bytes; the next write or flush waits.
        match self.poll_send(io, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    /// Sends all that waits, a nonce included, and lets go of the memory.
    pub(crate) fn poll_flush(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.nonce.is_some() {
            self.begin(0);
        }
        ready!(self.poll_send(io, cx))?;
        self.batch = Vec::new();
        self.sent = 0;
        Pin::new(io).poll_flush(cx)
    }

    /// Empties the batch, but for the nonce if that is still to be sent, and makes room for so many bytes.
    fn begin(&mut self, room: usize) {
        self.batch.clear();
        self.sent = 0;
        self.batch.reserve(room.saturating_add(NONCE_LEN));
        if let Some(nonce) = self.nonce.take() {
            self.batch.extend_from_slice(&nonce);
        }
    }

    fn poll_send(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.batch.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut *io).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = self.sent.saturating_add(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes of memory that wait in the batch or are kept for the next.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.batch.capacity()
    }
}
