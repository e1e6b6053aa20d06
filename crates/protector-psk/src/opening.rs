//! What a peer sends first: its nonce in clear, and then, encrypted, the header of multistream-select.
//!
//! The specification has no proof of membership. But all that is ever spoken inside begins with the same twenty
//! bytes, so a peer that is of another network, or of none, is known by them, and not by what the next layer makes
//! of the noise.

use crate::{
    cipher::{Keystream, NONCE_LEN, Nonce},
    key::Key,
    stranger::Stranger,
};
use skep_api::{
    BoxIo,
    protector::{ProtectorError, ProtectorErrorKind},
};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// The first bytes of all that is spoken inside.
pub(crate) const HEADER: &[u8; HEADER_LEN] = b"\x13/multistream/1.0.0\n";
pub(crate) const HEADER_LEN: usize = 20;

const OPENING_LEN: usize = NONCE_LEN + HEADER_LEN;

/// What a peer has sent of its nonce and its header. No byte behind them is read from the stream below.
pub(crate) struct Opening {
    bytes: [u8; OPENING_LEN],
    len: usize,
    /// The nonce of this side, which a peer that sends it back has from us.
    own: Nonce,
}

/// A peer that is of a network of this node.
pub(crate) struct Member {
    /// Which of the keys it has.
    pub(crate) key: usize,
    /// The key stream of what it sends after the header.
    pub(crate) keystream: Keystream,
}

/// Why a peer did not become a member.
pub(crate) enum Failed {
    Stranger(Stranger),
    /// The stream broke, or ended, after so many bytes.
    Broken(usize, io::Error),
}

impl Opening {
    pub(crate) fn new(own: Nonce) -> Self {
        Self { bytes: [0; OPENING_LEN], len: 0, own }
    }

    /// Reads until the peer has shown that it is a member, or that it is none; that is at the first byte that no
    /// member would send.
    pub(crate) fn poll_member(
        &mut self,
        io: &mut BoxIo,
        cx: &mut Context<'_>,
        keys: &[Arc<Key>],
    ) -> Poll<Result<Member, Failed>> {
        loop {
            let mut rest = ReadBuf::new(self.bytes.get_mut(self.len..).unwrap_or_default());
            let read = ready!(Pin::new(&mut *io).poll_read(cx, &mut rest));
            let count = rest.filled().len();
            if let Err(error) = read {
                return Poll::Ready(Err(Failed::Broken(self.len, error)));
            }
            if count == 0 {
                let end = io::ErrorKind::UnexpectedEof.into();
                return Poll::Ready(Err(Failed::Broken(self.len, end)));
            }
            self.len = self.len.saturating_add(count);
            match self.judge(keys) {
                Ok(None) => {}
                Ok(Some(member)) => return Poll::Ready(Ok(member)),
                Err(stranger) => return Poll::Ready(Err(Failed::Stranger(stranger))),
            }
        }
    }

    /// What can be said of the peer by now.
    fn judge(&self, keys: &[Arc<Key>]) -> Result<Option<Member>, Stranger> {
        let read = self.bytes.get(..self.len).unwrap_or(&self.bytes);
        if read.starts_with(HEADER) {
            return Err(Stranger::Open);
        }
        let Some((nonce, header)) = read.split_first_chunk::<NONCE_LEN>() else { return Ok(None) };
        if *nonce == self.own {
            return Err(Stranger::Mirror);
        }
        let candidates = keys.iter().map(|key| Keystream::new(key, nonce));
        let fits = candidates.enumerate().find_map(|(key, mut keystream)| {
            let mut plain = [0; HEADER_LEN];
            let plain = plain.get_mut(..header.len())?;
            plain.copy_from_slice(header);
            keystream.apply(plain).ok()?;
            HEADER.starts_with(plain).then_some(Member { key, keystream })
        });
        match fits {
            None => Err(Stranger::OtherKey),
            Some(member) => Ok((header.len() == HEADER_LEN).then_some(member)),
        }
    }
}

impl From<Failed> for ProtectorError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Stranger(stranger) => stranger.into(),
            Failed::Broken(len, error) => {
                let detail = format!("after {len} of the {OPENING_LEN} bytes that show who the peer is");
                Self::new(ProtectorErrorKind::Io, detail).with_source(error)
            }
        }
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Stranger(stranger) => stranger.into(),
            Failed::Broken(_, ref error) => Self::new(error.kind(), ProtectorError::from(failed)),
        }
    }
}
