//! A stream whose proposal was not taken says so to whatever is called later.
//!
//! `multistream-select` panics when it is used after it has read a refusal, junk or the end in place of an answer. A
//! muxer may well write, flush or close after a failed read.

use super::refused;
use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream on which a proposal may still be unanswered.
#[derive(Debug)]
pub(crate) struct Fused<T> {
    io: T,
    /// What was proposed, in a word.
    what: &'static str,
    /// Something was read, so that the proposal was taken.
    answered: bool,
    /// Why there is no answer.
    failed: Option<Told>,
}

impl<T> Fused<T> {
    pub(crate) fn new(io: T, what: &'static str) -> Self {
        Self { io, what, answered: false, failed: None }
    }

    /// Makes a call, unless there is no answer.
    fn poll<R>(&mut self, call: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<R>>) -> Poll<io::Result<R>>
    where
        T: Unpin,
    {
        match &self.failed {
            Some(told) => Poll::Ready(Err(told.again())),
            None => call(Pin::new(&mut self.io)),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Fused<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.poll(|io| io.poll_read(cx, buf)) {
            Poll::Ready(Err(error)) if !this.answered && this.failed.is_none() => {
                let told = Told { error: Arc::new(error), what: this.what };
                let error = told.again();
                this.failed = Some(told);
                Poll::Ready(Err(error))
            }
            read => {
                this.answered |= matches!(read, Poll::Ready(Ok(())));
                read
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Fused<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll(|io| io.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll(|io| io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll(|io| io.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll(|io| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// An error that is told more than once.
#[derive(Clone, Debug)]
struct Told {
    error: Arc<io::Error>,
    what: &'static str,
}

impl Told {
    fn again(&self) -> io::Error {
        io::Error::new(self.error.kind(), self.clone())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what;
        if refused(&*self.error) {
            write!(f, "the peer does not take the {what} that was proposed")
        } else {
            write!(f, "no answer to the {what} that was proposed: {}", self.error)
        }
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.error.get_ref() {
            Some(inner) => Some(inner),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Agreed, negotiate};
    use super::*;
    use skep_api::security::Role;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// A stream whose protocol is proposed, and whose peer answers with this and ends.
    async fn answered(answer: &[u8]) -> Fused<Agreed<DuplexStream>> {
        let (near, mut far) = duplex(1024);
        let (_, io) = negotiate(near, Role::Dialer, ["/only/1"]).await.unwrap();
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        // It reads on.
        tokio::spawn(async move { far.read_to_end(&mut Vec::new()).await });
        Fused::new(io, "protocol")
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_negotiation_is_told_again_by_whatever_is_called_later() {
        let answers: [(&[u8], bool); 5] = [
            (b"\x13/multistream/1.0.0\n\x03na\n", true),
            (b"\x13/multistream/1.0.0\n\x09/other/1\n", true),
            (b"\x13/multistream/1.0.0\n\x06junk!\n", false),
            (b"\x13/multistream/1", false),
            (b"", false),
        ];
        for (answer, was_refused) in answers {
            let mut io = answered(answer).await;
            let first = io.read_u8().await.unwrap_err();
            assert_eq!(refused(&first), was_refused, "{first} after {}", answer.escape_ascii());
            let later = [
                io.write_all(b"more").await,
                io.flush().await,
                io.shutdown().await,
                io.read_u8().await.map(drop),
            ];
            for again in later.map(Result::unwrap_err) {
                assert_eq!((again.kind(), again.to_string()), (first.kind(), first.to_string()));
                assert_eq!(refused(&again), was_refused);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_after_the_answer_is_left_alone() {
        let mut io = answered(b"\x13/multistream/1.0.0\n\x08/only/1\n!").await;
        assert_eq!(io.read_u8().await.unwrap(), b'!');
        assert_eq!(io.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        io.write_all(b"still").await.unwrap();
        io.shutdown().await.unwrap();
    }
}
