//! The frames that leave, as they come from the crate.
//!
//! Headers are looked at and rewritten where [`super::rules`] says so; frames that the crate has no word for go in between.
//! Bodies pass as they are.

use super::{
    header::{Header, HeaderReader, Kind, Way},
    rules::Book,
};
use futures::ready;
use skep_api::BoxIo;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

/// How many bytes of headers are gathered before they are handed down. Beyond, no frame is read that could call for an
/// answer.
const MAX_GATHERED: usize = 1024;

/// The writing side of the link.
#[derive(Debug)]
pub(super) struct Outbound {
    header: HeaderReader,
    /// Bytes of the current frame's body that the crate has still to write.
    body: u32,
    /// Headers on their way down, before the current body.
    gathered: VecDeque<u8>,
    /// Frames of ours that wait for the end of the current frame.
    injected: Vec<Header>,
    /// Something was handed down and not flushed.
    unflushed: bool,
    /// The layer below has taken bytes since [`Outbound::take_progress`].
    progress: bool,
}

impl Outbound {
    pub(super) fn new() -> Self {
        Self {
            header: HeaderReader::new(),
            body: 0,
            gathered: VecDeque::new(),
            injected: Vec::new(),
            // The layer below may hold the end of its handshake: the first flush is always made.
            unflushed: true,
            progress: false,
        }
    }

    /// Whether a frame may be read that calls for an answer.
    pub(super) fn has_room(&self) -> bool {
        self.gathered.len() < MAX_GATHERED && self.injected.len() < MAX_GATHERED / 16
    }

    /// Sends a frame of ours at the next boundary between frames.
    pub(super) fn inject(&mut self, header: Header) {
        self.injected.push(header);
        self.gather_injected();
    }

    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Takes bytes from the crate.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut BoxIo,
        book: &mut Book,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.body > 0 {
            ready!(self.poll_drain(cx, io))?;
            let len = buf.len().min(self.body as usize);
            let n = ready!(write_some(cx, io, buf.get(..len).unwrap_or(buf)))?;
            (self.unflushed, self.progress) = (true, true);
            book.note_taken(n);
            self.body = self.body.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
            self.gather_injected();
            return Poll::Ready(Ok(n));
        }
        if self.gathered.len() >= MAX_GATHERED {
            ready!(self.poll_drain(cx, io))?;
        }
        for (at, byte) in buf.iter().enumerate() {
            // The crate writes well-formed headers.
            if let Some(header) = self.header.push(*byte, Way::Out).map_err(io::Error::other)? {
                self.begin(book, header);
                return Poll::Ready(Ok(at.saturating_add(1)));
            }
        }
        Poll::Ready(Ok(buf.len()))
    }

    /// Hands down all headers, and flushes if there is something to flush.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx, io))?;
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let n = ready!(write_some(cx, io, self.gathered.as_slices().0))?;
            (self.unflushed, self.progress) = (true, true);
            self.gathered.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    /// Starts on a frame of the crate.
    fn begin(&mut self, book: &mut Book, header: Header) {
        if header.kind == Kind::Message {
            self.body = header.len;
        }
        if let Some(header) = book.rewrite(header) {
            self.gathered.extend(header.encode(Way::Out).as_slice());
        }
        self.gather_injected();
    }

    fn gather_injected(&mut self) {
        if self.body == 0 && !self.header.is_inside() {
            for header in self.injected.drain(..) {
                self.gathered.extend(header.encode(Way::Out).as_slice());
            }
        }
    }
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
