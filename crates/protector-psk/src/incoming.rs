//! The direction that this node reads.

use crate::{
    cipher::Keystream,
    key::Key,
    opening::{Failed, HEADER, HEADER_LEN, Opening},
    stranger::Stranger,
};
use skep_api::BoxIo;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// Decrypts what is read, after the peer has shown that it is a member.
pub(crate) enum Incoming {
    /// It has not shown that yet; it would with this key.
    Opening(Box<Opening>, Arc<Key>),
    /// It has, by its header; what it sends goes through, after so many bytes of the header.
    Open(Keystream, usize),
    /// It has shown that it is none.
    Refused(Stranger),
}

impl Incoming {
    /// A direction whose peer has shown that it is a member, by a header that nobody has read yet.
    pub(crate) fn open(keystream: Keystream) -> Self {
        Self::Open(keystream, HEADER_LEN)
    }

    /// Whether the peer has not shown yet who it is.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self, Self::Opening(..))
    }

    /// An error if the peer is known to be a stranger.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self {
            Self::Refused(stranger) => Err((*stranger).into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Opening(opening, key) => {
                    match ready!(opening.poll_member(io, cx, std::slice::from_ref(key))) {
                        Ok(member) => *self = Self::open(member.keystream),
                        Err(Failed::Stranger(stranger)) => *self = Self::Refused(stranger),
                        Err(broken) => return Poll::Ready(Err(broken.into())),
                    }
                }
                Self::Open(keystream, 0) => return poll_decrypted(keystream, io, cx, out),
                Self::Open(_, left) => {
                    let rest = HEADER.get(HEADER_LEN.saturating_sub(*left)..).unwrap_or_default();
                    let passed = rest.get(..out.remaining()).unwrap_or(rest);
                    out.put_slice(passed);
                    *left = left.saturating_sub(passed.len());
                    return Poll::Ready(Ok(()));
                }
                Self::Refused(stranger) => return Poll::Ready(Err((*stranger).into())),
            }
        }
    }
}

/// Reads into the reader's own buffer and decrypts there.
fn poll_decrypted(
    keystream: &mut Keystream,
    io: &mut BoxIo,
    cx: &mut Context<'_>,
    out: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = out.filled().len();
    ready!(Pin::new(io).poll_read(cx, out))?;
    Poll::Ready(keystream.apply(out.filled_mut().get_mut(before..).unwrap_or_default()))
}
