//! The frames that leave, as they come from the `yamux` crate.
//!
//! The crate has no reset with a code, and ends a stream that was dropped half-closed as if it were finished. So
//! the header of a stream's last frame is rewritten where the stream was reset or dropped, and frames that the
//! crate has no word for are put in between.

use super::header::{FIN, HEADER, Header, Kind, RST, SYN};
use crate::{shared::Shared, table::Record};
use futures::ready;
use skep_api::{BoxIo, Code};
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

/// How many frames of ours may wait. Beyond, no frame is read that could call for another.
const MAX_INJECTED: usize = 32;

/// How many bytes of headers are gathered before they are handed down.
const MAX_GATHERED: usize = 1024;

/// The writing side of the filter.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// The header that is coming from the crate.
    header: [u8; HEADER],
    filled: usize,
    /// Bytes of the current frame's body that the crate has still to write.
    body: u32,
    /// Headers on their way down, before the current body.
    gathered: VecDeque<u8>,
    /// Frames of ours that wait for the end of the current frame.
    injected: VecDeque<Header>,
    /// Something was handed down and not flushed.
    pub(super) unflushed: bool,
    /// Nothing more is sent.
    pub(super) closed: bool,
    /// The layer below has taken bytes since [`Outbound::take_progress`].
    progress: bool,
    /// The crate wanted to end the connection, because it refused the frame that it got last.
    refused: bool,
}

impl Outbound {
    pub(super) fn new() -> Self {
        // The layer below may hold the end of its handshake: the first flush is always made.
        Self { unflushed: true, ..Self::default() }
    }

    /// Whether a frame may be read that calls for an answer.
    pub(super) fn has_room(&self) -> bool {
        self.injected.len() < MAX_INJECTED && self.gathered.len() < MAX_GATHERED
    }

    /// Sends a frame of ours at the next boundary between frames.
    pub(super) fn inject(&mut self, header: Header) {
        self.injected.push_back(header);
        self.gather_injected();
    }

    /// Whether no frame is half sent, and nothing is held back.
    pub(super) fn is_idle(&self) -> bool {
        self.filled == 0 && self.body == 0 && self.gathered.is_empty() && self.injected.is_empty()
    }

    /// Whether the layer below has taken bytes since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Whether the crate refused a frame since the last call.
    pub(super) fn take_refusal(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// Takes bytes from the crate.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut BoxIo,
        shared: &Shared,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Ok(buf.len()));
        }
        if self.body > 0 {
            ready!(self.poll_drain(cx, io))?;
            let len = buf.len().min(self.body as usize);
            let n = ready!(write_some(cx, io, buf.get(..len).unwrap_or(buf)))?;
            (self.unflushed, self.progress) = (true, true);
            shared.note_taken(n);
            self.body = self.body.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
            if self.body == 0 {
                self.gather_injected();
            }
            return Poll::Ready(Ok(n));
        }
        if self.gathered.len() >= MAX_GATHERED {
            ready!(self.poll_drain(cx, io))?;
        }
        let mut n = 0_usize;
        for (to, from) in self.header.iter_mut().skip(self.filled).zip(buf) {
            *to = *from;
            n = n.saturating_add(1);
        }
        self.filled = self.filled.saturating_add(n);
        if self.filled >= HEADER {
            self.filled = 0;
            self.begin(shared);
        }
        Poll::Ready(Ok(n))
    }

    /// Hands down all headers.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let (front, _) = self.gathered.as_slices();
            let n = ready!(write_some(cx, io, front))?;
            (self.unflushed, self.progress) = (true, true);
            self.gathered.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    /// Starts on a frame of the crate.
    fn begin(&mut self, shared: &Shared) {
        // The crate writes well-formed headers; anything else would be passed on as it is.
        let sent = match Header::decode(self.header) {
            // The crate would send this and go on reading; the driver ends the connection in its stead.
            Ok(header) if header.kind == Kind::GoAway => return self.refused = true,
            Ok(header) => {
                self.body = header.body();
                rewrite(shared, header)
            }
            Err(_) => return self.gathered.extend(self.header),
        };
        if let Some(header) = sent {
            self.gathered.extend(header.encode());
        }
    }

    fn gather_injected(&mut self) {
        if self.body == 0 {
            self.gathered.extend(self.injected.drain(..).flat_map(Header::encode));
        }
    }
}

/// What is sent in place of a frame of the crate, if anything.
fn rewrite(shared: &Shared, header: Header) -> Option<Header> {
    match header.kind {
        Kind::Data if header.flags == 0 => Some(header),
        Kind::Data | Kind::WindowUpdate => match shared.table.get(header.stream) {
            Some(record) => rewrite_noted(shared, &record, header),
            None => Some(header),
        },
        Kind::Ping => {
            shared.signs.watch();
            Some(header)
        }
        _ => Some(header),
    }
}

/// A frame that opens, acknowledges or ends a stream, or gives it credit.
fn rewrite_noted(shared: &Shared, record: &Record, mut header: Header) -> Option<Header> {
    if header.kind == Kind::WindowUpdate && !header.has(RST) {
        record.widen_window(header.len);
    }
    let ends = header.has(FIN | RST);
    let aborted = record.reset_by_us.get().copied();
    let announced = record.announced.load(Ordering::Acquire);
    if header.has(RST) || (ends && aborted.is_some()) {
        if !announced {
            // The peer has never heard of the stream.
            return None;
        }
        record.reset_sent.store(true, Ordering::Release);
        shared.table.remember_reset(header.stream);
        let code = aborted.unwrap_or(Code::DROPPED);
        return Some(Header::reset(header.stream, wire_code(code)));
    }
    if !announced {
        // The crate opens a stream with its first data. One that is finished without any has yet to be opened.
        header.flags |= SYN;
        record.announced.store(true, Ordering::Release);
    }
    if ends {
        record.fin_sent.store(true, Ordering::Release);
    }
    Some(header)
}

/// The number of a code on the wire, where zero is no code.
pub(crate) fn wire_code(code: Code) -> u32 {
    if code == Code::UNKNOWN { 0 } else { code.0 }
}

fn write_some(cx: &mut Context<'_>, io: &mut BoxIo, buf: &[u8]) -> Poll<io::Result<usize>> {
    let n = ready!(Pin::new(io).poll_write(cx, buf))?;
    if n == 0 && !buf.is_empty() {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    if n > buf.len() {
        let what = format!("the layer below took {n} bytes of {}", buf.len());
        return Poll::Ready(Err(io::Error::other(what)));
    }
    Poll::Ready(Ok(n))
}
