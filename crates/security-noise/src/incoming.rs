//! What has arrived: plaintext that is not read yet, and frames that are not opened yet.
//!
//! ```text
//! 0        plain.start   plain.end   next                             filled      BUFFER_LEN
//! | gone … | plaintext … | its tag … | [header] sealed frames, whole or not … | free room … |
//! ```
//!
//! A frame is opened only when the plaintext before it has been read: straight into the reader's buffer if that
//! has the room, and else in place, from where it is copied out.

use crate::{
    buffer::{BUFFER_LEN, Buffer, Pool},
    cipher::{HEADER_LEN, MAX_FRAME_LEN, Opener, TAG_LEN},
    error::FrameError,
};
use skep_api::BoxIo;
use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// Frames without plaintext that one poll opens before it lets other tasks run. They are legal, and cost a peer
/// next to nothing to send.
const MAX_EMPTY_FRAMES: u32 = 64;

/// The receiving half of a session.
#[derive(Debug)]
pub(crate) struct Incoming {
    opener: Opener,
    pool: Arc<Pool>,
    /// None while nothing is here.
    buffer: Option<Buffer>,
    plain: Range<usize>,
    next: usize,
    filled: usize,
    /// What ended this direction: no later read gets past it.
    failed: Option<FrameError>,
}

/// What opening the next frame came to.
enum Opened {
    /// There is plaintext in the reader's buffer, or to be copied there.
    Plain,
    /// The frame had no plaintext.
    Empty,
    /// The frame is not complete.
    Incomplete,
}

impl Incoming {
    /// A half that begins with `first`, bytes that came along with the handshake.
    pub(crate) fn new(opener: Opener, pool: Arc<Pool>, first: &[u8]) -> Self {
        let mut this = Self { opener, pool, buffer: None, plain: 0..0, next: 0, filled: 0, failed: None };
        if !first.is_empty() {
            let mut buffer = this.pool.take();
            buffer.range_mut(0, first.len()).copy_from_slice(first);
            this.filled = first.len();
            this.buffer = Some(buffer);
        }
        this
    }

    /// Reads plaintext, as much as is here already or what one read of the stream below brings.
    pub(crate) fn poll_read(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let mut empty = 0;
        loop {
            self.deliver(out, &mut empty);
            if out.filled().len() > before || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = self.failed {
                self.buffer = None;
                return Poll::Ready(Err(error.into()));
            }
            if empty >= MAX_EMPTY_FRAMES {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if ready!(self.poll_fill(io, cx))? == 0 {
                let have = self.filled - self.next;
                self.release();
                if have == 0 {
                    return Poll::Ready(Ok(()));
                }
                self.failed = Some(FrameError::Truncated { have });
            }
        }
    }

    /// Hands out plaintext and opens frames until the reader's buffer is full, no whole frame is left, a frame
    /// fails, or too many had no plaintext.
    fn deliver(&mut self, out: &mut ReadBuf<'_>, empty: &mut u32) {
        while out.remaining() > 0 && self.failed.is_none() && *empty < MAX_EMPTY_FRAMES {
            if !self.plain.is_empty() {
                self.copy_out(out);
                continue;
            }
            match self.open_next(out) {
                Ok(Opened::Plain) => {}
                Ok(Opened::Empty) => *empty += 1,
                Ok(Opened::Incomplete) => return,
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn copy_out(&mut self, out: &mut ReadBuf<'_>) {
        let end = self.plain.end.min(self.plain.start + out.remaining());
        let plain = self.buffer.as_ref().map_or(&[][..], |buffer| buffer.range(self.plain.start, end));
        out.put_slice(plain);
        self.plain.start = end;
    }

    fn open_next(&mut self, out: &mut ReadBuf<'_>) -> Result<Opened, FrameError> {
        let Some(buffer) = &mut self.buffer else { return Ok(Opened::Incomplete) };
        let start = self.next + HEADER_LEN;
        let Some((header, _)) = buffer.range(self.next, self.filled).split_first_chunk() else {
            return Ok(Opened::Incomplete);
        };
        let len = usize::from(u16::from_be_bytes(*header));
        let plain_len = len.checked_sub(TAG_LEN).ok_or(FrameError::TooShort { len })?;
        if self.filled - start < len {
            return Ok(Opened::Incomplete);
        }
        // Room that is not initialised would first have to be zeroed, which costs about what the copy does.
        if out.initialized().len() - out.filled().len() >= plain_len {
            self.opener.open_into(buffer.range(start, start + len), out.initialize_unfilled_to(plain_len))?;
            out.advance(plain_len);
        } else {
            self.opener.open_in_place(buffer.range_mut(start, start + len))?;
            self.plain = start..start + plain_len;
        }
        self.next = start + len;
        Ok(if plain_len == 0 { Opened::Empty } else { Opened::Plain })
    }

    /// Reads from the stream below. All plaintext has been read, so what is kept is less than one frame.
    fn poll_fill(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let buffer = self.buffer.get_or_insert_with(|| self.pool.take());
        if self.next == self.filled {
            (self.next, self.filled) = (0, 0);
        } else if BUFFER_LEN - self.next < MAX_FRAME_LEN {
            buffer.move_to_front(self.next, self.filled);
            (self.next, self.filled) = (0, self.filled - self.next);
        }
        let mut room = ReadBuf::new(buffer.range_mut(self.filled, BUFFER_LEN));
        let polled = Pin::new(&mut *io).poll_read(cx, &mut room);
        let n = room.filled().len();
        self.filled += n;
        match polled {
            Poll::Ready(result) => Poll::Ready(result.map(|()| n)),
            Poll::Pending => {
                self.release();
                Poll::Pending
            }
        }
    }

    /// Gives the buffer back if nothing is in it.
    fn release(&mut self) {
        if self.next == self.filled {
            self.buffer = None;
            (self.next, self.filled) = (0, 0);
        }
    }
}
