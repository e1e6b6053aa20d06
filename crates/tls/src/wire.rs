//! The bytes of a handshake on their way, a record at a time.

use crate::{
    handshake::{HandshakeError, MAX_HANDSHAKE_LEN},
    record::{HEADER_LEN, MAX_SEALED_LEN},
};
use rustls::{ContentType, Error};
use skep_api::BoxIo;
use std::{future::poll_fn, io, pin::Pin, task::Poll};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes that a read asks for at least: more than the messages of most handshakes.
const READ_LEN: usize = 4096;

/// The bytes of a handshake on their way.
pub(crate) struct Wire {
    pub(crate) io: BoxIo,
    pub(crate) incoming: Vec<u8>,
    /// How much of `incoming` rustls sees: whole records.
    pub(crate) visible: usize,
    /// How much it has taken for good.
    consumed: usize,
    pub(crate) outgoing: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(io: BoxIo, incoming: Vec<u8>) -> Self {
        Self { io, incoming, visible: 0, consumed: 0, outgoing: Vec::new() }
    }

    /// Forgets what rustls has taken for good.
    pub(crate) fn discard(&mut self, len: usize) {
        let len = len.min(self.visible);
        self.incoming.drain(..len);
        self.visible -= len;
        self.consumed = self.consumed.saturating_add(len);
    }

    /// Sends what waits.
    pub(crate) async fn send(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.outgoing);
        if !waiting.is_empty() {
            self.io.write_all(&waiting).await?;
            self.io.flush().await?;
        }
        Ok(())
    }

    /// Lets rustls see one more record, reading until it is there.
    pub(crate) async fn receive_record(&mut self, encrypted: bool) -> Result<(), HandshakeError> {
        loop {
            let rest = self.incoming.get(self.visible..).unwrap_or_default();
            let missing = missing(rest);
            if missing == 0 {
                if encrypted {
                    check_header(rest)?;
                }
                self.visible = self.visible.saturating_add(record_len(rest));
                return Ok(());
            }
            let received = self.consumed.saturating_add(self.incoming.len());
            if received.saturating_add(missing) > MAX_HANDSHAKE_LEN {
                return Err(HandshakeError::TooLong);
            }
            self.incoming.reserve(missing.max(READ_LEN));
            if self.io.read_buf(&mut self.incoming).await? == 0 {
                return Err(HandshakeError::Ended { received });
            }
        }
    }

    /// Sends what waits and closes the stream, as far as that goes without waiting.
    pub(crate) async fn say_goodbye(&mut self) {
        poll_fn(|cx| {
            let mut rest = self.outgoing.as_slice();
            while !rest.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, rest) {
                    Poll::Ready(Ok(n)) if n > 0 => rest = rest.get(n..).unwrap_or_default(),
                    _ => return Poll::Ready(()),
                }
            }
            if let Poll::Ready(Ok(())) = Pin::new(&mut self.io).poll_flush(cx) {
                // The error that is being returned says more than one of this.
                let _ = Pin::new(&mut self.io).poll_shutdown(cx);
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// The outer header of an encrypted record is authenticated (RFC 8446, section 5.2), but rustls puts what it should be
/// in place of what it is.
fn check_header(record: &[u8]) -> Result<(), Error> {
    match record {
        // Data outwardly; or what old boxes on the way want to see; or an alert of a peer that has no keys yet.
        [23, 3, 3, ..] | [20, 3, 3, 0, 1, 1, ..] | [21, 3, _, 0, 2, ..] => Ok(()),
        _ => Err(Error::InappropriateMessage {
            expect_types: vec![ContentType::ApplicationData],
            got_type: record.first().copied().unwrap_or_default().into(),
        }),
    }
}

/// How many bytes are missing for a whole record at the start, or for its header.
fn missing(bytes: &[u8]) -> usize {
    match bytes.len() {
        0..HEADER_LEN => HEADER_LEN - bytes.len(),
        len => record_len(bytes).saturating_sub(len),
    }
}

/// The length of the record at the start. What cannot be one is for rustls to refuse, as far as it is here.
fn record_len(bytes: &[u8]) -> usize {
    const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=23;
    match bytes {
        [content_type, 3, _, high, low, ..] if CONTENT_TYPES.contains(content_type) => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            if len > MAX_SEALED_LEN { bytes.len() } else { HEADER_LEN + len }
        }
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_whole_when_all_of_it_is_there() {
        let record = b"\x16\x03\x01\x00\x03abc";
        for have in 0..record.len() {
            let until = if have < HEADER_LEN { HEADER_LEN } else { record.len() };
            assert_eq!(missing(&record[..have]), until - have);
        }
        let two = [&record[..], record].concat();
        assert_eq!((missing(&two), record_len(&two)), (0, record.len()));
        for junk in [&b"GET / HTTP"[..], b"\x16\x02\x01\x00\x09x", b"\x17\x03\x03\xff\xffx"] {
            assert_eq!((missing(junk), record_len(junk)), (0, junk.len()), "for rustls to refuse");
        }
    }

    #[test]
    fn headers_of_encrypted_records_are_what_they_have_to_be() {
        for good in
            [&b"\x17\x03\x03\x00\x20x"[..], b"\x14\x03\x03\x00\x01\x01", b"\x15\x03\x03\x00\x02\x02\x28"]
        {
            assert_eq!(check_header(good), Ok(()));
        }
        for bad in [
            &b"\x16\x03\x03\x00\x20x"[..],
            b"\x17\x03\x01\x00\x20x",
            b"\x14\x03\x03\x00\x01\x02",
            b"\x15\x03\x03\x00\x13x",
        ] {
            assert!(check_header(bad).is_err(), "{bad:x?}");
        }
    }
}
