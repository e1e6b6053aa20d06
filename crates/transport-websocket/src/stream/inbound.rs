//! Frames that come in, taken apart as they arrive.

use crate::{
    error::Violation,
    frame::{self, Carries, CloseReason, Header, Role},
    mask::Mask,
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read at a time where the reader has no room for more. A header and a control frame fit, with much to spare.
const BUFFER_LEN: usize = 8 * 1024;
/// From this much room on, payload goes straight to the reader.
const DIRECT: usize = 4 * 1024;

/// What one step came to.
#[derive(Debug)]
pub(super) enum Step {
    /// Bytes for the reader.
    Data,
    /// None, but go on.
    Nothing,
    Ping(Vec<u8>),
    Close(CloseReason),
    /// The peer closed before.
    End,
}

#[derive(Debug)]
pub(super) enum Failure {
    Io(io::Error),
    Violation(Violation),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Debug)]
pub(super) struct Inbound {
    role: Role,
    /// Empty while nothing is in it and nothing comes: most connections are idle most of the time.
    buffer: Vec<u8>,
    /// The part of the buffer that is read and not used yet.
    start: usize,
    end: usize,
    state: State,
    /// Whether a message has begun that is not at its end.
    in_message: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Payload { left: u64, mask: Option<Mask> },
    Control(Header),
    Ended,
    Failed(Violation),
}

impl Inbound {
    pub(super) fn new(role: Role, received: Vec<u8>) -> Self {
        let end = received.len();
        Self { role, buffer: received, start: 0, end, state: State::Header, in_message: false }
    }

    /// Takes one step.
    pub(super) fn poll_step<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<Result<Step, Failure>> {
        match self.state {
            State::Header => self.poll_header(io, cx),
            State::Payload { left: 0, .. } => {
                self.state = State::Header;
                Poll::Ready(Ok(Step::Nothing))
            }
            State::Payload { left, mask } => {
                if out.remaining() == 0 {
                    return Poll::Ready(Ok(Step::Data));
                }
                let n = ready!(self.poll_payload(io, cx, out, left, mask))?;
                Poll::Ready(Ok(if n == 0 { Step::Nothing } else { Step::Data }))
            }
            State::Control(header) => self.poll_control(io, cx, header),
            State::Ended => Poll::Ready(Ok(Step::End)),
            State::Failed(violation) => Poll::Ready(Err(Failure::Violation(violation))),
        }
    }

    fn poll_header<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Step, Failure>> {
        loop {
            match frame::parse(self.unused(), self.role, self.in_message) {
                Ok(Some(header)) => {
                    self.start = self.start.saturating_add(header.size);
                    self.state = match header.carries {
                        Carries::Data { unfinished } => {
                            self.in_message = unfinished;
                            State::Payload { left: header.len, mask: header.mask }
                        }
                        _ => State::Control(header),
                    };
                    return Poll::Ready(Ok(Step::Nothing));
                }
                Ok(None) => ready!(self.poll_fill(io, cx))?,
                Err(violation) => return Poll::Ready(Err(self.fail(violation))),
            }
        }
    }

    /// Moves payload to the reader: what is there, or what comes next. Zero means that it was moved to the buffer.
    fn poll_payload<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        left: u64,
        mut mask: Option<Mask>,
    ) -> Poll<io::Result<usize>> {
        let room = out.remaining().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = if self.start < self.end {
            let n = room.min(self.end.saturating_sub(self.start));
            let next = self.start.saturating_add(n);
            let data = self.buffer.get_mut(self.start..next).unwrap_or_default();
            mask.iter_mut().for_each(|mask| mask.apply(data));
            out.put_slice(data);
            self.start = next;
            n
        } else if room >= DIRECT {
            let data = out.initialize_unfilled_to(room);
            let mut direct = ReadBuf::new(data);
            let polled = Pin::new(io).poll_read(cx, &mut direct);
            if polled.is_pending() {
                self.release();
            }
            ready!(polled)?;
            let data = direct.filled_mut();
            let n = data.len();
            if n == 0 {
                return Poll::Ready(Err(cut_short()));
            }
            mask.iter_mut().for_each(|mask| mask.apply(data));
            out.advance(n);
            n
        } else {
            ready!(self.poll_fill(io, cx))?;
            0
        };
        self.state = State::Payload { left: left.saturating_sub(n as u64), mask };
        Poll::Ready(Ok(n))
    }

    fn poll_control<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        header: Header,
    ) -> Poll<Result<Step, Failure>> {
        // At most 125, as was checked.
        let len = usize::try_from(header.len).unwrap_or(frame::MAX_CONTROL);
        let mut payload = loop {
            match self.unused().get(..len) {
                Some(payload) => break payload.to_vec(),
                None => ready!(self.poll_fill(io, cx))?,
            }
        };
        self.start = self.start.saturating_add(len);
        header.mask.into_iter().for_each(|mut mask| mask.apply(&mut payload));
        self.state = State::Header;
        Poll::Ready(match header.carries {
            Carries::Ping => Ok(Step::Ping(payload)),
            Carries::Close => match CloseReason::parse(&payload) {
                Ok(reason) => {
                    self.state = State::Ended;
                    Ok(Step::Close(reason))
                }
                Err(violation) => Err(self.fail(violation)),
            },
            Carries::Pong | Carries::Data { .. } => Ok(Step::Nothing),
        })
    }

    fn fail(&mut self, violation: Violation) -> Failure {
        self.state = State::Failed(violation);
        Failure::Violation(violation)
    }

    fn unused(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Gives back the memory of a buffer in which nothing is left.
    fn release(&mut self) {
        self.buffer = Vec::new();
        (self.start, self.end) = (0, 0);
    }

    /// Reads something into the buffer, behind what is there.
    fn poll_fill<S: AsyncRead + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.buffer.len() < BUFFER_LEN {
            self.buffer.resize(BUFFER_LEN, 0);
        }
        let mut room = ReadBuf::new(self.buffer.get_mut(self.end..).unwrap_or_default());
        let polled = Pin::new(io).poll_read(cx, &mut room);
        let n = room.filled().len();
        self.end = self.end.saturating_add(n);
        if polled.is_pending() && self.start == self.end {
            self.release();
        }
        ready!(polled)?;
        Poll::Ready(if n == 0 { Err(cut_short()) } else { Ok(()) })
    }
}

/// The connection ended without a close frame, which tells a peer that is done from one that was cut off.
fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended without a close frame of WebSocket")
}

#[cfg(test)]
impl Inbound {
    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
    }
}
