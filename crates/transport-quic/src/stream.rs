//! One stream: the library's two halves under one set of rules about how each ends.

use crate::{codes, conn::Shared, finishing::Arrival};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use skep_api::{Code, Side, muxer::MuxedStream, stream::StreamError};
use std::{
    future::Future,
    io, mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A bidirectional stream.
///
/// How a direction ended is kept here: the library forgets a stream's end with the stream.
#[derive(Debug)]
pub(crate) struct QuicStream {
    send: SendStream,
    recv: RecvStream,
    shared: Arc<Shared>,
    /// How writing ended.
    write_end: Option<StreamError>,
    /// How reading ended: `Ok` is the end of file.
    read_end: Option<Result<(), StreamError>>,
    /// A byte that came where the peer's reset was looked for.
    peeked: Option<u8>,
    /// Whoever waits to read. A look at the peer's reset would otherwise take its place in the library.
    reader: Option<Waker>,
    /// Whoever waits to write.
    writer: Option<Waker>,
    /// The library keeps a note on whoever asked whether the peer has stopped this side, see [`Leftovers`].
    noted: bool,
}

impl QuicStream {
    pub(crate) fn new(send: SendStream, recv: RecvStream, shared: Arc<Shared>) -> Self {
        Self {
            send,
            recv,
            shared,
            write_end: None,
            read_end: None,
            peeked: None,
            reader: None,
            writer: None,
            noted: false,
        }
    }

    fn end_writing(&mut self, error: StreamError) -> io::Error {
        self.write_end.get_or_insert(error).clone().into()
    }

    fn end_reading(&mut self, end: Result<(), StreamError>) -> Poll<io::Result<()>> {
        let end = self.read_end.get_or_insert(end);
        Poll::Ready(end.clone().map_err(Into::into))
    }

    /// What a failed write says.
    fn write_error(&mut self, error: &WriteError) -> StreamError {
        match error {
            WriteError::Stopped(code) => self.stopped_by_peer(codes::from_wire(*code)),
            WriteError::ConnectionLost(e) => StreamError::ConnectionLost(self.shared.reason(e)),
            // Neither happens: the end of this side is known here, and no early data is sent.
            WriteError::ClosedStream | WriteError::ZeroRttRejected => StreamError::Finished,
        }
    }

    /// The peer reads no more. If it sends no more either, it has let go of the whole stream: a reset has no word of its
    /// own in QUIC but the ends of both directions.
    fn stopped_by_peer(&mut self, code: Code) -> StreamError {
        match self.look_for_reset() {
            Some(Ok(())) => StreamError::Reset { by: Side::Remote, code },
            Some(Err(reset @ StreamError::Reset { by: Side::Remote, .. })) => reset,
            _ => StreamError::Stopped { code },
        }
    }

    /// How reading has ended, the peer's end of it included that no read has come upon yet. The library tells that to a
    /// read alone: should there be a byte instead, it is kept for the next.
    fn look_for_reset(&mut self) -> Option<Result<(), StreamError>> {
        if self.read_end.is_none() && self.peeked.is_none() {
            let waker = self.reader.clone().unwrap_or_else(|| Waker::noop().clone());
            let mut byte = [0];
            let mut buf = ReadBuf::new(&mut byte);
            let read = self.poll_read_on(&mut Context::from_waker(&waker), &mut buf);
            self.peeked = buf.filled().first().copied();
            if read.is_ready() {
                wake(&mut self.reader);
            }
        }
        self.read_end.clone()
    }

    /// Reads what has arrived, and notes the end.
    fn poll_read_on(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        match self.recv.poll_read_buf(cx, buf) {
            Poll::Ready(Ok(())) if buf.remaining() == before => self.end_reading(Ok(())),
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(ReadError::Reset(code))) => {
                self.end_reading(Err(StreamError::Reset { by: Side::Remote, code: codes::from_wire(code) }))
            }
            Poll::Ready(Err(ReadError::ConnectionLost(e))) => {
                let reason = self.shared.reason(&e);
                self.end_reading(Err(StreamError::ConnectionLost(reason)))
            }
            // None of these happens: the end of this side is known here, and reads are in order.
            Poll::Ready(Err(
                ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected,
            )) => self.end_reading(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The code with which the peer stopped this side, if it did.
    fn stop_code(&mut self, cx: &mut Context<'_>) -> Option<Code> {
        if !self.noted && self.shared.leftovers.are_many() {
            return None;
        }
        let stopped = pin!(self.send.stopped()).poll(cx);
        self.noted = stopped.is_pending();
        match stopped {
            Poll::Ready(Ok(code)) => code.map(codes::from_wire),
            _ => None,
        }
    }

    /// The same, now. A write of nothing tells it without a note, but where the connection has no room.
    fn stop_code_now(&mut self) -> Option<Code> {
        let cx = &mut Context::from_waker(Waker::noop());
        match Pin::new(&mut self.send).poll_write(cx, &[]) {
            Poll::Ready(Err(WriteError::Stopped(code))) => Some(codes::from_wire(code)),
            Poll::Ready(_) => None,
            Poll::Pending => self.stop_code(cx),
        }
    }

    /// The library looks at the room of the whole connection first: where there is none, a stop would stay unseen.
    fn check_blocked(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(code) = self.stop_code(cx) {
            let error = self.stopped_by_peer(code);
            return Poll::Ready(Err(self.end_writing(error)));
        }
        keep(&mut self.writer, cx);
        Poll::Pending
    }

    /// Has the close of the connection wait for what was finished, unless the peer has stopped it, with this code.
    fn await_arrival(&mut self) -> Option<Code> {
        if !self.noted && self.shared.leftovers.are_many() {
            return None;
        }
        let mut arrival: Arrival = Box::pin(self.send.stopped());
        let stopped = arrival.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.noted = stopped.is_pending();
        match stopped {
            Poll::Ready(Ok(code)) => return code.map(codes::from_wire),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.shared.finishing.add(self.id(), arrival),
        }
        None
    }

    /// Whether nothing of the stream is left to reset.
    fn is_over(&mut self) -> bool {
        if self.shared.quic.close_reason().is_some() {
            return true;
        }
        match (&self.read_end, &self.write_end) {
            (Some(_), Some(_)) => true,
            (Some(Err(StreamError::Reset { by: Side::Remote, .. })), None) => {
                // The peer's reset of both directions, of which only one was seen.
                let Some(code) = self.stop_code_now() else { return false };
                let error = self.stopped_by_peer(code);
                self.end_writing(error);
                true
            }
            _ => false,
        }
    }

    /// Ends both directions where they are open.
    fn cut(&mut self, code: Code) {
        let reset = StreamError::Reset { by: Side::Local, code };
        // First what the peer reads: if both arrive, it knows a reset from a reader that wants no more.
        let _ = self.send.reset(codes::to_wire(code));
        if mem::take(&mut self.noted) {
            self.shared.leftovers.add();
        }
        if matches!(self.write_end, Some(StreamError::Finished)) {
            self.shared.finishing.forget(self.id());
        }
        if self.read_end.is_none() {
            let _ = self.recv.stop(codes::to_wire(code));
            self.read_end = Some(Err(reset.clone()));
        }
        self.write_end.get_or_insert(reset);
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &this.read_end {
            return Poll::Ready(end.clone().map_err(Into::into));
        }
        if let Some(byte) = this.peeked.take() {
            buf.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        let read = this.poll_read_on(cx, buf);
        if read.is_pending() {
            keep(&mut this.reader, cx);
        }
        read
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(end) = &this.write_end {
            return Poll::Ready(Err(end.clone().into()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match Pin::new(&mut this.send).poll_write(cx, buf) {
            Poll::Ready(Ok(n)) => Poll::Ready(Ok(n)),
            Poll::Ready(Err(e)) => {
                let error = this.write_error(&e);
                Poll::Ready(Err(this.end_writing(error)))
            }
            Poll::Pending => this.check_blocked(cx),
        }
    }

    /// The library sends by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.write_end {
            None | Some(StreamError::Finished) => Poll::Ready(Ok(())),
            Some(error) => Poll::Ready(Err(error.clone().into())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match &this.write_end {
            Some(StreamError::Finished) => return Poll::Ready(Ok(())),
            Some(error) => return Poll::Ready(Err(error.clone().into())),
            None => {}
        }
        if let Some(e) = this.shared.quic.close_reason() {
            let reason = this.shared.reason(&e);
            return Poll::Ready(Err(this.end_writing(StreamError::ConnectionLost(reason))));
        }
        // What was stopped cannot be finished; the library says nothing then.
        let _ = this.send.finish();
        if let Some(code) = this.await_arrival() {
            let error = this.stopped_by_peer(code);
            return Poll::Ready(Err(this.end_writing(error)));
        }
        this.write_end = Some(StreamError::Finished);
        Poll::Ready(Ok(()))
    }
}

impl MuxedStream for QuicStream {
    fn id(&self) -> u64 {
        quinn::VarInt::from(self.send.id()).into_inner()
    }

    fn reset(&mut self, code: Code) {
        if !self.is_over() {
            self.cut(code);
            wake(&mut self.reader);
            wake(&mut self.writer);
        }
    }

    fn stop_reading(&mut self, code: Code) {
        if self.read_end.is_none() && self.shared.quic.close_reason().is_none() {
            let _ = self.recv.stop(codes::to_wire(code));
            self.read_end = Some(Err(StreamError::Reset { by: Side::Local, code }));
            wake(&mut self.reader);
        }
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        if self.write_end.is_none() && !self.is_over() {
            self.cut(Code::DROPPED);
        } else if self.read_end.is_none() {
            let _ = self.recv.stop(codes::to_wire(Code::DROPPED));
        }
        self.shared.forget_stream();
    }
}

/// Remembers who waits.
fn keep(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

fn wake(place: &mut Option<Waker>) {
    if let Some(waker) = place.take() {
        waker.wake();
    }
}
