//! What has arrived: plaintext that is not read yet, and records that are not opened yet.
//!
//! ```text
//! 0        plain.start   plain.end       next                              filled      BUFFER_LEN
//! | gone … | plaintext … | its padding … | [header] sealed records, whole or not … | free room … |
//! ```
//!
//! A record is opened only when the plaintext before it has been read: straight into the reader's buffer if that
//! has the room, and else in place, from where it is copied out.

use crate::{
    buffer::{BUFFER_LEN, Buffer, Buffers},
    post_handshake::{PostHandshake, Request},
    record::{ALERT, Content, DATA, HANDSHAKE, HEADER_LEN, MAX_RECORD_LEN, Opener, TAG_LEN, sealed_len},
    record_error::RecordError,
    secrets::Secrets,
};
use skep_api::BoxIo;
use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// Records without data that one poll opens before it lets other tasks run. They are legal, and cost a peer next to
/// nothing to send.
const MAX_EMPTY_RECORDS: u32 = 64;

/// Changes of keys without any data between them. Each costs this side more than the peer.
const MAX_KEY_UPDATES: u32 = 32;

/// How much of a record moves out of its buffer while the rest is waited for. More of it stays where it is: in the middle
/// of much data a reader often waits within a record, and copying each time what is there costs more than the buffer.
pub(crate) const MAX_KEPT: usize = 1024;

const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;

/// The receiving half of a session.
#[derive(Debug)]
pub(crate) struct Incoming {
    opener: Opener,
    buffers: Buffers,
    /// None while nothing is here but what is in `kept`.
    buffer: Option<Buffer>,
    /// The start of a record whose rest is waited for without a buffer; empty while there is one.
    kept: Box<[u8]>,
    plain: Range<usize>,
    next: usize,
    filled: usize,
    post_handshake: PostHandshake,
    key_updates: u32,
    /// Whether the peer asked this side to change its key, and nobody has taken note of it yet.
    our_key_due: bool,
    /// What ended this direction: no later read gets past it.
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer said that it sends no more.
    Notified,
    Failed(RecordError),
}

/// What opening the next record came to.
enum Opened {
    /// There is plaintext in the reader's buffer, or to be copied there.
    Plain,
    /// The record brought no data.
    Empty,
    /// The record is not complete.
    Incomplete,
}

impl Incoming {
    /// A half that begins with `first`, bytes that came along with the handshake; none if they do not fit into a buffer.
    pub(crate) fn new(opener: Opener, buffers: Buffers, first: &[u8]) -> Option<Self> {
        let mut this = Self {
            opener,
            buffers,
            buffer: None,
            kept: Box::default(),
            plain: 0..0,
            next: 0,
            filled: 0,
            post_handshake: PostHandshake::default(),
            key_updates: 0,
            our_key_due: false,
            end: None,
        };
        if !first.is_empty() {
            this.buffer = Some(this.buffers.take_with(first)?);
            this.filled = first.len();
        }
        Some(this)
    }

    /// What ended this direction, if it was an error.
    pub(crate) fn failure(&self) -> Option<RecordError> {
        match self.end {
            Some(End::Failed(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether the peer asked this side to change its key since this was last asked.
    pub(crate) fn take_key_request(&mut self) -> bool {
        std::mem::take(&mut self.our_key_due)
    }

    /// Reads plaintext, as much as is here already or what one read of the stream below brings.
    pub(crate) fn poll_read(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        secrets: &mut Secrets,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let mut empty = 0;
        loop {
            self.deliver(out, &mut empty, secrets);
            if out.filled().len() > before || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = self.end {
                self.buffer = None;
                return Poll::Ready(match end {
                    End::Notified => Ok(()),
                    End::Failed(error) => Err(error.into()),
                });
            }
            if empty >= MAX_EMPTY_RECORDS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if ready!(self.poll_fill(io, cx))? == 0 {
                self.end = Some(End::Failed(RecordError::Truncated { have: self.filled - self.next }));
            }
        }
    }

    /// Hands out plaintext and opens records until the reader's buffer is full, no whole record is left, the
    /// direction ends, or too many records brought no data.
    fn deliver(&mut self, out: &mut ReadBuf<'_>, empty: &mut u32, secrets: &mut Secrets) {
        while out.remaining() > 0 && *empty < MAX_EMPTY_RECORDS {
            if !self.plain.is_empty() {
                self.copy_out(out);
                continue;
            }
            if self.end.is_some() {
                return;
            }
            match self.open_next(out, secrets) {
                Ok(Opened::Plain) => self.key_updates = 0,
                Ok(Opened::Empty) => *empty += 1,
                Ok(Opened::Incomplete) => return,
                Err(error) => self.end = Some(End::Failed(error)),
            }
        }
    }

    fn copy_out(&mut self, out: &mut ReadBuf<'_>) {
        let end = self.plain.end.min(self.plain.start + out.remaining());
        let plain = self.buffer.as_ref().map_or(&[][..], |buffer| buffer.range(self.plain.start, end));
        out.put_slice(plain);
        self.plain.start = end;
    }

    fn open_next(&mut self, out: &mut ReadBuf<'_>, secrets: &mut Secrets) -> Result<Opened, RecordError> {
        let Some(buffer) = &mut self.buffer else { return Ok(Opened::Incomplete) };
        let start = self.next + HEADER_LEN;
        let Some((header, _)) = buffer.range(self.next, self.filled).split_first_chunk() else {
            return Ok(Opened::Incomplete);
        };
        let (header, len) = (*header, sealed_len(*header)?);
        if self.filled - start < len {
            return Ok(Opened::Incomplete);
        }
        self.next = start + len;
        let inner_len = len - TAG_LEN;
        // Room that is not initialised would first have to be zeroed, which costs about what the copy does.
        if out.initialized().len() - out.filled().len() >= inner_len {
            let room = out.initialize_unfilled_to(inner_len);
            let content = self.opener.open_into(header, buffer.range(start, start + len), room)?;
            if content.content_type == DATA && !self.post_handshake.is_within() {
                out.advance(content.len);
                return Ok(if content.len == 0 { Opened::Empty } else { Opened::Plain });
            }
            // What is not data does not stay in the reader's buffer.
            buffer.range_mut(start, start + inner_len).copy_from_slice(room);
            room.fill(0);
            self.take(content, start, secrets)
        } else {
            let content = self.opener.open_in_place(header, buffer.range_mut(start, start + len))?;
            self.take(content, start, secrets)
        }
    }

    /// Takes note of what was opened and begins at `start` of the buffer.
    fn take(&mut self, content: Content, start: usize, secrets: &mut Secrets) -> Result<Opened, RecordError> {
        let range = start..start + content.len;
        let bytes = self.buffer.as_ref().map_or(&[][..], |buffer| buffer.range(range.start, range.end));
        match content.content_type {
            HANDSHAKE => {
                let request = self.post_handshake.read(bytes, secrets.peer_is_server())?;
                if let Request::NewKey { also_ours } = request {
                    self.change_key(also_ours, secrets)?;
                }
                Ok(Opened::Empty)
            }
            content_type if self.post_handshake.is_within() => {
                Err(RecordError::UnexpectedRecord { content_type })
            }
            DATA if range.is_empty() => Ok(Opened::Empty),
            DATA => {
                self.plain = range;
                Ok(Opened::Plain)
            }
            ALERT => {
                match *bytes {
                    [_, CLOSE_NOTIFY] => self.end = Some(End::Notified),
                    [_, USER_CANCELED] => {}
                    [_, description] => return Err(RecordError::Alert { description }),
                    _ => return Err(RecordError::BadMessage),
                }
                Ok(Opened::Empty)
            }
            content_type => Err(RecordError::UnexpectedRecord { content_type }),
        }
    }

    fn change_key(&mut self, also_ours: bool, secrets: &mut Secrets) -> Result<(), RecordError> {
        self.key_updates += 1;
        if self.key_updates > MAX_KEY_UPDATES {
            return Err(RecordError::KeyUpdates { count: self.key_updates });
        }
        self.opener = secrets.next_opener()?;
        self.our_key_due |= also_ours;
        Ok(())
    }

    /// Reads from the stream below. All plaintext has been read, so what is kept is less than one record.
    fn poll_fill(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let buffer = match &mut self.buffer {
            Some(buffer) => buffer,
            None => {
                let len = self.kept.len();
                let buffer = self.buffers.take_with(&self.kept).ok_or(RecordError::TooLong { len })?;
                self.buffer.insert(buffer)
            }
        };
        if self.next == self.filled {
            (self.next, self.filled) = (0, 0);
        } else if BUFFER_LEN - self.next < BUFFER_LEN / 2 + MAX_RECORD_LEN {
            buffer.move_to_front(self.next, self.filled);
            (self.next, self.filled) = (0, self.filled - self.next);
        }
        let mut room = ReadBuf::new(buffer.range_mut(self.filled, BUFFER_LEN));
        let polled = Pin::new(&mut *io).poll_read(cx, &mut room);
        let n = room.filled().len();
        self.filled += n;
        match polled {
            Poll::Ready(result) => {
                self.kept = Box::default();
                Poll::Ready(result.map(|()| n))
            }
            Poll::Pending => {
                self.release();
                Poll::Pending
            }
        }
    }

    /// Gives the buffer back if there is little or nothing in it.
    fn release(&mut self) {
        let len = self.filled - self.next;
        let Some(buffer) = self.buffer.take_if(|_| len <= MAX_KEPT) else { return };
        // What was kept before is kept still, and nothing has come since.
        if self.kept.len() != len {
            self.kept = buffer.range(self.next, self.filled).into();
        }
        (self.next, self.filled) = (0, len);
    }
}
