//! Length-prefixed messages: an unsigned varint, then so many bytes.

use skep_api::protocol::{ProtocolError, ProtocolErrorKind};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};
use unsigned_varint::{decode, encode};

/// Appends `message` with its length to `out`.
pub(super) fn put(out: &mut Vec<u8>, message: &[u8]) {
    out.extend_from_slice(encode::usize(message.len(), &mut encode::usize_buffer()));
    out.extend_from_slice(message);
}

/// What was read where a message may start.
#[derive(Debug)]
pub(super) enum Frame {
    /// A whole message.
    Message(Vec<u8>),
    /// The stream ended between messages: in order, or by the error given.
    End(Option<io::Error>),
}

/// Reads the next message, of at most `limit` bytes.
///
/// # Errors
/// [`ProtocolErrorKind::TooLarge`] before anything is stored, [`ProtocolErrorKind::Malformed`] for a length
/// that is none or an end inside a message, [`ProtocolErrorKind::Io`].
pub(super) async fn read<S>(stream: &mut S, limit: usize) -> Result<Frame, ProtocolError>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let mut prefix = [0; 1];
    match stream.read(&mut prefix).await {
        Ok(0) => return Ok(Frame::End(None)),
        Ok(_) => {}
        Err(e) => return Ok(Frame::End(Some(e))),
    }
    let len = read_length(stream, prefix).await?;
    let len = usize::try_from(len).ok().filter(|len| *len <= limit).ok_or_else(|| {
        ProtocolError::new(ProtocolErrorKind::TooLarge, format!("{len} bytes, at most {limit}"))
    })?;
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await.map_err(cut_short)?;
    Ok(Frame::Message(message))
}

/// Reads a varint to its end, at most ten bytes, of which `first` has been read.
async fn read_length<S>(stream: &mut S, first: [u8; 1]) -> Result<u64, ProtocolError>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let mut bytes = first.to_vec();
    loop {
        match decode::u64(&bytes) {
            Ok((len, _)) => return Ok(len),
            Err(decode::Error::Insufficient) => bytes.push(stream.read_u8().await.map_err(cut_short)?),
            Err(e) => {
                return Err(ProtocolError::new(ProtocolErrorKind::Malformed, "the length of a message")
                    .with_source(e));
            }
        }
    }
}

fn cut_short(error: io::Error) -> ProtocolError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ProtocolError::new(ProtocolErrorKind::Malformed, "the stream ended inside a message");
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(bytes: &[u8]) -> ProtocolErrorKind {
        read(&mut &*bytes, 1024).await.unwrap_err().kind()
    }

    #[tokio::test]
    async fn messages_come_back_as_they_were_put() {
        let mut bytes = Vec::new();
        put(&mut bytes, b"");
        put(&mut bytes, &[7; 300]);
        let mut rest = bytes.as_slice();
        assert!(matches!(read(&mut rest, 1024).await.unwrap(), Frame::Message(m) if m.is_empty()));
        assert!(matches!(read(&mut rest, 1024).await.unwrap(), Frame::Message(m) if m == [7; 300]));
        assert!(matches!(read(&mut rest, 1024).await.unwrap(), Frame::End(None)));
    }

    #[tokio::test]
    async fn lengths_that_are_none_or_too_large_are_refused() {
        let eleven_bytes = [[0x80; 10].as_slice(), &[1]].concat();
        assert_eq!(refusal(&eleven_bytes).await, ProtocolErrorKind::Malformed);
        assert_eq!(refusal(&[0xff; 64]).await, ProtocolErrorKind::Malformed);
        // Not the shortest form of zero.
        assert_eq!(refusal(&[0x80, 0]).await, ProtocolErrorKind::Malformed);
        let two_to_the_63 = [[0x80; 9].as_slice(), &[1]].concat();
        assert_eq!(refusal(&two_to_the_63).await, ProtocolErrorKind::TooLarge);
        assert_eq!(refusal(&[0x81, 0x08]).await, ProtocolErrorKind::TooLarge);
    }

    #[tokio::test]
    async fn an_end_inside_of_a_message_is_an_error() {
        for bytes in [&[0x80][..], &[5], &[5, 1, 2, 3, 4]] {
            assert_eq!(refusal(bytes).await, ProtocolErrorKind::Malformed, "{bytes:?}");
        }
    }
}
