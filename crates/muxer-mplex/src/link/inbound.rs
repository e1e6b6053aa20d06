//! The frames that arrive, as the crate gets to read them.
//!
//! The crate gathers a whole frame, up to 1 MiB, before anybody sees a byte of it. So a large one is passed on as several,
//! each no larger than what its stream has room for.

use super::{
    header::{Encoded, Header, HeaderReader, Way},
    outbound::Outbound,
    rules::{Book, Verdict},
};
use crate::state::{Admission, State};
use futures::ready;
use skep_api::{BoxIo, CloseReason, Code, error::chain};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, ReadBuf};

use super::Key;

/// The largest body that the crate sees.
pub(super) const PIECE: u32 = 16 * 1024;

/// Bytes read from below at once.
const READ_AHEAD: usize = 16 * 1024;

/// How many frames may be thrown away in one poll before others get their turn.
const MAX_SKIPPED: usize = 64;

/// The reading side of the link.
#[derive(Debug)]
pub(super) struct Inbound {
    bytes: Box<[u8]>,
    /// What of `bytes` is still to be looked at.
    next: usize,
    end: usize,
    header: HeaderReader,
    stage: Stage,
    /// The frame that is passed on or thrown away.
    frame: Header,
    /// Bytes of its body after the current piece.
    rest: u32,
    /// The stream whose reader is waited for.
    held: Option<Key>,
    /// How often a wait has begun.
    holds: u64,
}

#[derive(Clone, Debug)]
enum Stage {
    Header,
    /// The header is there.
    Judge,
    /// The next piece wants to be admitted.
    Admit(Arc<State>),
    /// Passing on a header, and then so much of a body.
    Give {
        header: Encoded,
        given: usize,
        piece: u32,
        stream: Option<Arc<State>>,
    },
    Body {
        left: u32,
        stream: Arc<State>,
    },
    Skip,
}

/// What one step leads to.
enum Step {
    Next(Stage),
    /// So many bytes are for the crate.
    Ready(usize),
    Wait,
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; READ_AHEAD].into_boxed_slice(),
            next: 0,
            end: 0,
            header: HeaderReader::new(),
            stage: Stage::Header,
            frame: Header::new(super::Kind::Message, super::CONTROL),
            rest: 0,
            held: None,
            holds: 0,
        }
    }

    /// The number of the wait, and the stream whose reader is waited for.
    pub(super) fn hold(&self) -> Option<(u64, Key)> {
        self.held.map(|key| (self.holds, key))
    }

    /// Reads what the crate is to see. The error is why there is no more.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut BoxIo,
        book: &mut Book,
        outbound: &mut Outbound,
        out: &mut [u8],
    ) -> Poll<Result<usize, CloseReason>> {
        let mut judged = 0_usize;
        loop {
            let step = match self.stage.clone() {
                Stage::Header if !self.header.is_inside() && !outbound.has_room() => Step::Wait,
                Stage::Header if judged >= MAX_SKIPPED => {
                    cx.waker().wake_by_ref();
                    Step::Wait
                }
                Stage::Header => ready!(self.poll_header(cx, io))?,
                Stage::Judge => {
                    judged = judged.saturating_add(1);
                    let verdict = book.judge(outbound, self.frame).map_err(violation)?;
                    self.obey(verdict)
                }
                Stage::Admit(stream) => self.admit(book, stream)?,
                Stage::Give { header, given, piece, stream } => self.give(header, given, piece, stream, out),
                Stage::Body { left, stream } => ready!(self.poll_body(cx, io, left, stream, out))?,
                Stage::Skip => ready!(self.poll_skip(cx, io))?,
            };
            match step {
                Step::Next(stage) => self.stage = stage,
                Step::Ready(n) => return Poll::Ready(Ok(n)),
                Step::Wait => return Poll::Pending,
            }
        }
    }

    fn poll_header(&mut self, cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<Result<Step, CloseReason>> {
        ready!(self.poll_fill(cx, io))?;
        while let Some(byte) = self.ahead().first().copied() {
            self.next = self.next.saturating_add(1);
            match self.header.push(byte, Way::In) {
                Ok(None) => {}
                Ok(Some(header)) => {
                    (self.frame, self.rest) = (header, header.len);
                    return Poll::Ready(Ok(Step::Next(Stage::Judge)));
                }
                Err(what) => return Poll::Ready(Err(violation(format!("it sent {what}")))),
            }
        }
        Poll::Ready(Ok(Step::Next(Stage::Header)))
    }

    fn obey(&self, verdict: Verdict) -> Step {
        match verdict {
            Verdict::Data(stream) => Step::Next(Stage::Admit(stream)),
            Verdict::Skip => Step::Next(Stage::Skip),
            Verdict::Pass => {
                let header = Header { len: 0, ..self.frame }.encode(Way::In);
                Step::Next(Stage::Give { header, given: 0, piece: 0, stream: None })
            }
        }
    }

    /// Cuts the next piece off, if the stream has room for it.
    fn admit(&mut self, book: &mut Book, stream: Arc<State>) -> Result<Step, CloseReason> {
        let (piece, key) = (self.rest.min(PIECE), self.frame.key);
        let admission = stream.admit(piece as usize);
        if admission != Admission::Hold {
            self.held = None;
        }
        match admission {
            Admission::Pass => {
                book.touch(key);
                self.rest = self.rest.saturating_sub(piece);
                let header = Header { len: piece, ..self.frame }.encode(Way::In);
                Ok(Step::Next(Stage::Give { header, given: 0, piece, stream: Some(stream) }))
            }
            Admission::Discard => Ok(Step::Next(Stage::Skip)),
            Admission::AfterEnd => {
                Err(violation(format!("it sent data on stream {key} after it had closed it")))
            }
            Admission::Hold => {
                if self.held.replace(key).is_none() {
                    self.holds = self.holds.wrapping_add(1);
                }
                Ok(Step::Wait)
            }
        }
    }

    fn give(
        &mut self,
        header: Encoded,
        given: usize,
        piece: u32,
        stream: Option<Arc<State>>,
        out: &mut [u8],
    ) -> Step {
        let left = header.as_slice().get(given..).unwrap_or_default();
        if left.is_empty() {
            return Step::Next(match stream {
                Some(stream) => Stage::Body { left: piece, stream },
                None => Stage::Skip,
            });
        }
        let n = copy(left, out);
        self.stage = Stage::Give { header, given: given.saturating_add(n), piece, stream };
        Step::Ready(n)
    }

    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut BoxIo,
        left: u32,
        stream: Arc<State>,
        out: &mut [u8],
    ) -> Poll<Result<Step, CloseReason>> {
        if left == 0 {
            let next = if self.rest > 0 { Stage::Admit(stream) } else { Stage::Header };
            return Poll::Ready(Ok(Step::Next(next)));
        }
        ready!(self.poll_fill(cx, io))?;
        let ahead = self.ahead();
        let n = copy(ahead.get(..ahead.len().min(left as usize)).unwrap_or_default(), out);
        self.next = self.next.saturating_add(n);
        let left = left.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
        self.stage = Stage::Body { left, stream };
        Poll::Ready(Ok(Step::Ready(n)))
    }

    /// Throws away the rest of the body.
    fn poll_skip(&mut self, cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<Result<Step, CloseReason>> {
        if self.rest == 0 {
            return Poll::Ready(Ok(Step::Next(Stage::Header)));
        }
        ready!(self.poll_fill(cx, io))?;
        let n = self.ahead().len().min(self.rest as usize);
        self.next = self.next.saturating_add(n);
        self.rest = self.rest.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
        Poll::Ready(Ok(Step::Next(Stage::Skip)))
    }

    fn ahead(&self) -> &[u8] {
        self.bytes.get(self.next..self.end).unwrap_or_default()
    }

    /// Sees to it that there is something ahead.
    fn poll_fill(&mut self, cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<Result<(), CloseReason>> {
        if !self.ahead().is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut buf = ReadBuf::new(&mut self.bytes);
        let read = ready!(Pin::new(io).poll_read(cx, &mut buf));
        (self.next, self.end) = (0, buf.filled().len());
        Poll::Ready(match read {
            Err(e) => Err(of_io(&e)),
            Ok(()) if self.end > 0 => Ok(()),
            Ok(()) if self.is_between_frames() => Err(CloseReason::remote(Code::UNKNOWN)),
            Ok(()) => {
                Err(CloseReason::Lost { what: "the peer ended the connection inside of a frame".into() })
            }
        })
    }

    fn is_between_frames(&self) -> bool {
        matches!(self.stage, Stage::Header) && !self.header.is_inside()
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let n = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..n), from.get(..n)) {
        to.copy_from_slice(from);
    }
    n
}

fn violation(what: String) -> CloseReason {
    CloseReason::Violation { what }
}

fn of_io(error: &io::Error) -> CloseReason {
    match error.kind() {
        // So the layer below says that what arrived is not of its protocol.
        io::ErrorKind::InvalidData => violation(chain(error)),
        _ => CloseReason::Lost { what: chain(error) },
    }
}
