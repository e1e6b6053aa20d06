//! The frames that arrive, as the `yamux` crate gets to read them.
//!
//! The crate ends the connection at a frame above 1 MiB, and it allocates the body before it has arrived. Other
//! implementations send frames as large as the window, up to 16 MiB. So a large frame is passed on as several:
//! only headers are made up, the body goes straight from the layer below into the crate's buffer.

use super::{
    header::{FIN, HEADER, Header},
    outbound::Outbound,
    rules::{self, Pass},
};
use crate::{shared::Shared, table::Record};
use futures::ready;
use skep_api::BoxIo;
use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, ReadBuf};

/// The largest body that the crate sees. It allocates so much for a frame whose body has not arrived.
pub(super) const PIECE: u32 = 64 * 1024;

/// How many frames may be thrown away in one poll before others get their turn.
const MAX_SKIPPED: usize = 64;

/// The reading side of the filter.
#[derive(Debug)]
pub(super) struct Inbound {
    stage: Stage,
    /// The frame that is passed on, without what has been passed on of its body.
    frame: Header,
    /// Bytes of the current piece that are still to come.
    piece: u32,
    /// Bytes of the frame after the current piece.
    rest: u32,
    /// Bytes to throw away once the header has been passed on.
    skip: u32,
    /// The stream that the peer finishes with the frame that is passed on.
    finishes: Option<Arc<Record>>,
    /// The stream of a frame in several pieces, whose reader may stop between two of them.
    reader: Option<Arc<Record>>,
    /// Credit for what was thrown away of such a frame.
    owed: Option<Header>,
}

#[derive(Debug)]
enum Stage {
    /// Reading a header.
    Header { bytes: [u8; HEADER], filled: usize },
    /// Passing on a header.
    Deliver { bytes: [u8; HEADER], given: usize },
    /// Passing on a body.
    Body,
    /// Throwing a body away.
    Skip,
}

const NEXT_HEADER: Stage = Stage::Header { bytes: [0; HEADER], filled: 0 };

impl Inbound {
    pub(super) fn new() -> Self {
        let frame = Header::credit(0, 0);
        Self {
            stage: NEXT_HEADER,
            frame,
            piece: 0,
            rest: 0,
            skip: 0,
            finishes: None,
            reader: None,
            owed: None,
        }
    }

    /// The frame that the crate got last.
    pub(super) fn last(&self) -> Header {
        self.frame
    }

    /// The crate refused the frame it got last.
    pub(super) fn refuse(&mut self) {
        self.finishes = None;
    }

    /// Reads what the crate is to see. A violation of the peer ends the reading: it is noted in `shared`, and
    /// this never gets ready again.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut BoxIo,
        shared: &Shared,
        outbound: &mut Outbound,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut skipped = 0_usize;
        while shared.violation().is_none() {
            if let Some(credit) = self.owed.take() {
                outbound.inject(credit);
            }
            match &mut self.stage {
                Stage::Header { bytes, filled } => {
                    // The crate is back for more, so it has taken in the frame before.
                    if let Some(record) = self.finishes.take() {
                        record.finish_by_peer();
                    }
                    if !outbound.has_room() || skipped >= MAX_SKIPPED {
                        return yield_now(cx, skipped);
                    }
                    match ready!(fill(cx, io, shared, bytes, filled))? {
                        Fill::End => return Poll::Ready(Ok(0)),
                        Fill::More => {}
                        Fill::Full(bytes) => {
                            skipped = skipped.saturating_add(1);
                            self.begin(shared, outbound, bytes);
                        }
                    }
                }
                Stage::Deliver { bytes, given } => {
                    let left = bytes.get(*given..).unwrap_or_default();
                    let n = copy(left, buf);
                    *given = given.saturating_add(n);
                    if *given >= HEADER {
                        self.advance();
                    }
                    return Poll::Ready(Ok(n));
                }
                Stage::Body => {
                    let n = ready!(read_some(cx, io, shared, buf, self.piece))?;
                    self.piece = self.piece.saturating_sub(n);
                    if self.piece == 0 {
                        self.advance();
                    }
                    return Poll::Ready(Ok(n as usize));
                }
                Stage::Skip => {
                    let n = ready!(read_some(cx, io, shared, &mut [0; 4096], self.skip))?;
                    if n == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    self.skip = self.skip.saturating_sub(n);
                    if self.skip == 0 {
                        self.advance();
                    }
                }
            }
        }
        Poll::Pending
    }

    /// Starts on a frame whose header has arrived.
    fn begin(&mut self, shared: &Shared, outbound: &mut Outbound, bytes: [u8; HEADER]) {
        let judged = match Header::decode(bytes) {
            Ok(header) => rules::judge(shared, header).map(|verdict| (header, verdict)),
            Err(e) => Err(format!("it sent {e}")),
        };
        let (header, verdict) = match judged {
            Ok(judged) => judged,
            Err(what) => return shared.violate(what),
        };
        if let Some(reply) = verdict.reply {
            outbound.inject(reply);
        }
        self.finishes = verdict.finishes;
        match verdict.pass {
            Pass::Whole => {
                self.frame = header;
                self.rest = header.body();
                self.reader = if self.rest > PIECE { shared.table.get(header.stream) } else { None };
                self.deliver(header.flags);
            }
            Pass::Empty => {
                self.frame = Header { len: 0, ..header };
                self.skip = header.body();
                self.deliver(header.flags);
            }
            Pass::Nothing => {
                self.skip = header.body();
                self.advance();
            }
        }
    }

    /// Cuts the next piece off the frame and makes up its header.
    fn deliver(&mut self, flags: u16) {
        self.piece = self.rest.min(PIECE);
        self.rest = self.rest.saturating_sub(self.piece);
        let flags = if self.rest > 0 { flags & !FIN } else { flags };
        // Only data has a body, and of other frames the length is something else.
        let len = if self.piece > 0 { self.piece } else { self.frame.len };
        let bytes = Header { flags, len, ..self.frame }.encode();
        self.stage = Stage::Deliver { bytes, given: 0 };
    }

    /// Throws away the pieces that are still to come, and gives the peer its window back for them.
    fn discard_rest(&mut self) {
        self.skip = std::mem::take(&mut self.rest);
        let rest = Header { len: self.skip, ..self.frame };
        self.owed = self.reader.take().and_then(|record| rules::credit_back(&record, rest));
        self.frame.len = 0;
    }

    /// Goes on to what comes next.
    fn advance(&mut self) {
        if self.piece > 0 {
            self.stage = Stage::Body;
        } else if self.rest > 0 {
            // Opening and acknowledging are for the first piece alone.
            self.frame.flags &= FIN;
            if self.reader.as_ref().is_some_and(|record| record.stopped.load(Ordering::Acquire)) {
                self.discard_rest();
            }
            if self.rest > 0 || self.frame.has(FIN) {
                self.deliver(self.frame.flags);
            } else {
                self.stage = Stage::Skip;
            }
        } else if self.skip > 0 {
            self.stage = Stage::Skip;
        } else {
            self.stage = NEXT_HEADER;
        }
    }
}

enum Fill {
    /// The stream ended between two frames.
    End,
    More,
    Full([u8; HEADER]),
}

fn fill(
    cx: &mut Context<'_>,
    io: &mut BoxIo,
    shared: &Shared,
    bytes: &mut [u8; HEADER],
    filled: &mut usize,
) -> Poll<io::Result<Fill>> {
    let left = bytes.get_mut(*filled..).unwrap_or_default();
    let n = ready!(read_some(cx, io, shared, left, u32::MAX))?;
    if n == 0 {
        let inside = *filled > 0;
        return Poll::Ready(if inside { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Fill::End) });
    }
    *filled = filled.saturating_add(n as usize);
    Poll::Ready(Ok(if *filled >= HEADER { Fill::Full(*bytes) } else { Fill::More }))
}

/// Reads at most `limit` bytes.
fn read_some(
    cx: &mut Context<'_>,
    io: &mut BoxIo,
    shared: &Shared,
    buf: &mut [u8],
    limit: u32,
) -> Poll<io::Result<u32>> {
    let len = buf.len().min(limit as usize);
    let mut buf = ReadBuf::new(buf.get_mut(..len).unwrap_or_default());
    ready!(Pin::new(io).poll_read(cx, &mut buf))?;
    if !buf.filled().is_empty() {
        shared.signs.hear();
    }
    Poll::Ready(Ok(u32::try_from(buf.filled().len()).unwrap_or(u32::MAX)))
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let pairs = to.iter_mut().zip(from);
    pairs.map(|(to, from)| *to = *from).count()
}

/// Lets others have their turn; or waits for room in the write queue, which the caller then flushes.
fn yield_now<T>(cx: &Context<'_>, skipped: usize) -> Poll<T> {
    if skipped >= MAX_SKIPPED {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}
