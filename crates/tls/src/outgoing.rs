//! What waits to be sent: sealed records, and one that is still open for more plaintext.
//!
//! ```text
//! 0        sent               sealed                      end                     BUFFER_LEN
//! | gone … | sealed records … | [header] open plaintext … | [type, tag] free room … |
//! ```
//!
//! Plaintext is copied once, to the place in its record where it is then sealed; a write that fills a record by itself
//! is sealed straight from the writer's buffer. Nothing is ever moved: when the room for another record is used up, the
//! writer waits until all sealed records are gone, and filling starts over at the front. That is the back-pressure, too.

use crate::{
    buffer::{BUFFER_LEN, Buffer, Buffers},
    record::{ALERT, DATA, HANDSHAKE, HEADER_LEN, MAX_PLAIN_LEN, OVERHEAD, Sealer},
    record_error::RecordError,
    secrets::Secrets,
};
use rustls::AlertDescription;
use skep_api::BoxIo;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// The change of this side's key, which does not ask the peer to change its own (RFC 8446, section 4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// Room that is kept free for a change of keys before a record, and for an alert behind it.
const RESERVED: usize = OVERHEAD + KEY_UPDATE.len() + OVERHEAD + 2;

/// The sending half of a session.
#[derive(Debug)]
pub(crate) struct Outgoing {
    sealer: Sealer,
    buffers: Buffers,
    /// None while nothing waits.
    buffer: Option<Buffer>,
    sent: usize,
    sealed: usize,
    /// End of the open record's plaintext; equal to `sealed` when no record is open.
    end: usize,
    /// Whether the key is to be changed before the next record.
    key_due: bool,
}

impl Outgoing {
    /// A half that sends `first`, the last flight of the handshake or nothing, ahead of all records; none if it does not
    /// fit into a buffer.
    pub(crate) fn new(sealer: Sealer, buffers: Buffers, first: &[u8]) -> Option<Self> {
        let mut this = Self { sealer, buffers, buffer: None, sent: 0, sealed: 0, end: 0, key_due: false };
        if !first.is_empty() {
            this.buffer = Some(this.buffers.take_with(first)?);
            (this.sealed, this.end) = (first.len(), first.len());
        }
        Some(this)
    }

    /// Sealed bytes that wait to be sent.
    pub(crate) fn ready_len(&self) -> usize {
        self.sealed - self.sent
    }

    /// Whether nothing waits, sealed or not.
    pub(crate) fn is_empty(&self) -> bool {
        self.end == self.sent
    }

    /// Whether the next [`Outgoing::append`] takes anything.
    pub(crate) fn has_room(&self) -> bool {
        self.is_open() || BUFFER_LEN - self.sealed >= OVERHEAD + MAX_PLAIN_LEN + RESERVED
    }

    /// Has the key changed before the next record.
    pub(crate) fn request_new_key(&mut self) {
        self.key_due = true;
    }

    /// Takes as much of `data` as there is room for and says how much; seals the records that are full.
    pub(crate) fn append(&mut self, data: &[u8], secrets: &mut Secrets) -> Result<usize, RecordError> {
        let mut rest = data;
        while !rest.is_empty() && self.has_room() {
            if !self.is_open() {
                self.change_key_if_due(secrets)?;
            }
            let taken = if !self.is_open() && rest.len() >= MAX_PLAIN_LEN {
                self.seal_whole(DATA, rest.get(..MAX_PLAIN_LEN).unwrap_or_default())?
            } else {
                self.fill(rest)?
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(data.len() - rest.len())
    }

    /// Seals the open record, if there is one.
    pub(crate) fn seal(&mut self) -> Result<(), RecordError> {
        if !self.is_open() {
            return Ok(());
        }
        let end = self.end + OVERHEAD - HEADER_LEN;
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
        self.sealer.seal_in_place(DATA, buffer.range_mut(self.sealed, end))?;
        (self.sealed, self.end) = (end, end);
        Ok(())
    }

    /// Seals an alert behind what waits already.
    pub(crate) fn alert(&mut self, alert: AlertDescription) -> Result<(), RecordError> {
        const WARNING: u8 = 1;
        const FATAL: u8 = 2;
        self.seal()?;
        let level = if alert == AlertDescription::CloseNotify { WARNING } else { FATAL };
        self.seal_whole(ALERT, &[level, alert.into()]).map(drop)
    }

    /// Sends all sealed records, as many bytes at a time as the stream below takes.
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

    fn change_key_if_due(&mut self, secrets: &mut Secrets) -> Result<(), RecordError> {
        if self.key_due || self.sealer.is_used_up() {
            self.key_due = false;
            self.seal_whole(HANDSHAKE, &KEY_UPDATE)?;
            self.sealer = secrets.next_sealer()?;
        }
        Ok(())
    }

    /// Seals a record straight from the writer's buffer.
    fn seal_whole(&mut self, content_type: u8, plain: &[u8]) -> Result<usize, RecordError> {
        let end = self.sealed + OVERHEAD + plain.len();
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
        self.sealer.seal_from(content_type, plain, buffer.range_mut(self.sealed, end))?;
        (self.sealed, self.end) = (end, end);
        Ok(plain.len())
    }

    /// Copies to the open record, or a new one, what still fits into it.
    fn fill(&mut self, data: &[u8]) -> Result<usize, RecordError> {
        let start = if self.is_open() { self.end } else { self.sealed + HEADER_LEN };
        let limit = self.sealed + HEADER_LEN + MAX_PLAIN_LEN;
        let n = data.len().min(limit - start);
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
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

    #[cfg(test)]
    pub(crate) fn limit_key(&mut self, records: u64) {
        self.sealer.limit(records);
    }
}
