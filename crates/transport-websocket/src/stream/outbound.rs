//! Frames that go out: gathered, masked in place, and written.

use crate::{
    frame::{self, MAX_HEADER, Role},
    mask::Masks,
};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Most bytes of payload in a frame. A receiver that delivers whole frames only, as most do, has to hold as many.
pub(super) const MAX_PAYLOAD: usize = 64 * 1024;
/// What each of two buffers may keep when there is nothing to send: what small frames take again and again.
const IDLE_CAPACITY: usize = 1024;

/// What waits to be sent: at most one frame on its way, one that is filling, and one answer.
#[derive(Debug)]
pub(super) struct Outbound {
    /// A client's.
    masks: Option<Masks>,
    /// Room for a header, then the payload of the frame to come. Empty if there is none.
    filling: Vec<u8>,
    /// The frame on its way, from `sent` on.
    sending: Vec<u8>,
    sent: usize,
    pong: Option<Vec<u8>>,
    closing: Closing,
    /// Bytes were handed on that the layer below may hold.
    unflushed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// The close frame with this code goes out behind all data.
    Due(u16),
    Closed,
}

impl Outbound {
    pub(super) fn new(role: Role) -> Self {
        Self {
            masks: (role == Role::Client).then(Masks::new),
            filling: Vec::new(),
            sending: Vec::new(),
            sent: 0,
            pong: None,
            closing: Closing::Open,
            unflushed: false,
        }
    }

    /// Answers a ping. Of several answers that wait, the last is enough (RFC 6455, section 5.5.3).
    pub(super) fn pong(&mut self, payload: Vec<u8>) {
        if self.closing == Closing::Open {
            self.pong = Some(payload);
        }
    }

    /// Ends the stream behind what was written, once.
    pub(super) fn close(&mut self, code: u16) {
        if self.closing == Closing::Open {
            self.closing = Closing::Due(code);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closing == Closing::Closed
    }

    /// Whether something waits that the reader has to send if nobody writes.
    pub(super) fn has_answer(&self) -> bool {
        self.pong.is_some()
            || matches!(self.closing, Closing::Due(_))
            || (self.unflushed && self.filling.is_empty())
    }

    /// Takes bytes into the frame that is filling, and sends it when it is full.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.closing != Closing::Open {
            let problem = "the WebSocket connection is closed, by this end or by the peer";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, problem)));
        }
        if self.room() == 0 {
            ready!(self.poll_send(io, cx))?;
            self.seal()?;
        }
        let taken = self.take(data);
        if self.room() == 0 && self.poll_send(io, cx)?.is_ready() {
            self.seal()?;
            // The bytes are taken, whether or not they get on their way now.
            let _ = self.poll_send(io, cx)?;
        }
        Poll::Ready(Ok(taken))
    }

    /// Sends everything.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_send(io, cx))?;
            if let Some(payload) = self.pong.take() {
                self.sending = self.control(Control::Pong, payload)?;
            } else if self.filling.len() > MAX_HEADER {
                self.seal()?;
            } else if let Closing::Due(code) = self.closing {
                self.sending = self.control(Control::Close, code.to_be_bytes().to_vec())?;
                self.closing = Closing::Closed;
            } else {
                break;
            }
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        for buffer in [&mut self.filling, &mut self.sending] {
            if buffer.capacity() > IDLE_CAPACITY {
                *buffer = Vec::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes that the filling frame can take.
    fn room(&self) -> usize {
        MAX_PAYLOAD.saturating_sub(self.filling.len().saturating_sub(MAX_HEADER))
    }

    fn take(&mut self, data: &[IoSlice<'_>]) -> usize {
        if self.filling.is_empty() {
            self.filling.resize(MAX_HEADER, 0);
        }
        let mut taken = 0_usize;
        for slice in data {
            let part = slice.get(..self.room().min(slice.len())).unwrap_or_default();
            self.make_room_for(part.len());
            self.filling.extend_from_slice(part);
            taken = taken.saturating_add(part.len());
        }
        taken
    }

    /// Grows as vectors do, but to no more than a frame.
    fn make_room_for(&mut self, more: usize) {
        let (len, capacity) = (self.filling.len(), self.filling.capacity());
        let needed = len.saturating_add(more);
        if needed > capacity {
            let grown = capacity.saturating_mul(2).min(MAX_HEADER.saturating_add(MAX_PAYLOAD)).max(needed);
            self.filling.reserve_exact(grown.saturating_sub(len));
        }
    }

    /// Makes the filling frame the one on its way, which must be none: masks it, and puts its header in front.
    fn seal(&mut self) -> io::Result<()> {
        let mask = self.masks.as_mut().map(Masks::draw).transpose()?;
        let payload = self.filling.get_mut(MAX_HEADER..).unwrap_or_default();
        let header = frame::header(OpCode::Data(Data::Binary), payload.len(), mask);
        mask.into_iter().for_each(|mut mask| mask.apply(payload));
        let start = MAX_HEADER.saturating_sub(header.len());
        if let Some(place) = self.filling.get_mut(start..MAX_HEADER) {
            place.copy_from_slice(&header);
        }
        std::mem::swap(&mut self.filling, &mut self.sending);
        self.filling.clear();
        self.sent = start;
        Ok(())
    }

    /// A control frame.
    fn control(&mut self, control: Control, mut payload: Vec<u8>) -> io::Result<Vec<u8>> {
        let mask = self.masks.as_mut().map(Masks::draw).transpose()?;
        let mut frame = frame::header(OpCode::Control(control), payload.len(), mask);
        mask.into_iter().for_each(|mut mask| mask.apply(&mut payload));
        frame.append(&mut payload);
        Ok(frame)
    }

    /// Writes the frame on its way to its end.
    fn poll_send<S: AsyncWrite + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.sending.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let n = ready!(Pin::new(&mut *io).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = self.sent.saturating_add(n);
            self.unflushed = true;
        }
        self.sending.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
impl Outbound {
    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.filling.capacity() + self.sending.capacity()
    }
}
