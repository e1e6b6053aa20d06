//! An established session as a byte stream.

use crate::{
    buffer::Buffers,
    handshake::{self, HandshakeError, Session},
    incoming::Incoming,
    outgoing::Outgoing,
    record::{MAX_PLAIN_LEN, OVERHEAD},
    record_error::RecordError,
    secrets::Secrets,
};
use rustls::{AlertDescription, ClientConfig, Error, ServerConfig, pki_types::ServerName};
use skep_api::BoxIo;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sealed bytes from which on a write sends them without waiting for a flush: four full records, 64 KiB of plaintext.
const SEND_FROM: usize = 4 * (MAX_PLAIN_LEN + OVERHEAD);

/// A TLS 1.3 session over a byte stream: encrypts what is written and decrypts what is read.
///
/// * Small writes gather in one record until a flush, or until there are 64 KiB.
/// * A stream at rest holds no buffer. A direction holds one of 130 KiB while something waits to be read or to be sent. A
///   reader that waits for the rest of a record holds what has come of it if that is at most 1 KiB, and else the buffer,
///   for as long as the peer takes.
/// * `poll_shutdown` tells the peer, by `close_notify`, and closes the writing side of the stream below; reading goes
///   on. The peer's `close_notify` is the end of file; an end of file below without it is an error
///   ([`RecordError::Truncated`]), as is a record that is not right. No later read gets past an error.
/// * The dialler's last flight of the handshake goes along with the first data, or when a reader first waits.
#[derive(Debug)]
pub struct TlsStream {
    io: BoxIo,
    incoming: Incoming,
    outgoing: Outgoing,
    secrets: Secrets,
    alpn: Option<Box<[u8]>>,
    handshake: LastFlight,
    /// Whether `close_notify` was sealed.
    closing: bool,
}

/// What became of the handshake's last flight, when this side is the one to send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastFlight {
    /// It waits to go along with the first data.
    Held,
    /// It waits, and a reader has waited for one turn already.
    Due,
    /// It is sent, or a writer came that sends it.
    Settled,
}

impl TlsStream {
    /// Runs the handshake for the side that connected. `name` is whom the certificate is to be for, which only
    /// [`crate::web`] looks at.
    ///
    /// The configuration has to allow the extraction of secrets, as those of this crate do.
    ///
    /// # Errors
    /// [`HandshakeError`]; the peer was told, and the stream is gone.
    pub async fn connect(
        io: BoxIo,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        buffers: &Buffers,
    ) -> Result<Self, HandshakeError> {
        Self::new(handshake::connect(io, config, name).await?, buffers)
    }

    /// Runs the handshake for the side that was connected to.
    ///
    /// # Errors
    /// As [`TlsStream::connect`].
    pub async fn accept(
        io: BoxIo,
        config: Arc<ServerConfig>,
        buffers: &Buffers,
    ) -> Result<Self, HandshakeError> {
        Self::new(handshake::accept(io, Vec::new(), config).await?, buffers)
    }

    /// Continues where the handshake ended.
    pub(crate) fn new(session: Session, buffers: &Buffers) -> Result<Self, HandshakeError> {
        let held = !session.unsent.is_empty();
        let too_many = || Error::General("a handshake left more bytes than a buffer takes".into());
        Ok(Self {
            io: session.io,
            incoming: Incoming::new(session.opener, buffers.clone(), &session.surplus)
                .ok_or_else(too_many)?,
            outgoing: Outgoing::new(session.sealer, buffers.clone(), &session.unsent).ok_or_else(too_many)?,
            secrets: session.secrets,
            alpn: session.alpn,
            handshake: if held { LastFlight::Held } else { LastFlight::Settled },
            closing: false,
        })
    }

    /// The application protocol that both ends agreed on.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// Sends the handshake's last flight for a reader that waits before anything was written: the peer says nothing
    /// until it has that flight. The task gets one more turn before, for data that the flight can go along with. Once
    /// a writer came it is the writer's business, whose waker must not be replaced.
    fn poll_send_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.handshake {
            LastFlight::Settled => return Poll::Ready(Ok(())),
            LastFlight::Held => {
                self.handshake = LastFlight::Due;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            LastFlight::Due => {}
        }
        ready!(self.outgoing.poll_send(&mut self.io, cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.outgoing.release();
        self.handshake = LastFlight::Settled;
        Poll::Ready(Ok(()))
    }

    /// Appends as much as there is room for, after making room if there is none.
    fn poll_append<'a>(
        &mut self,
        cx: &mut Context<'_>,
        slices: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        self.handshake = LastFlight::Settled;
        self.check_writable()?;
        if !self.outgoing.has_room() {
            ready!(self.outgoing.poll_send(&mut self.io, cx))?;
        }
        let mut total = 0;
        for slice in slices {
            let taken = self.outgoing.append(slice, &mut self.secrets)?;
            total += taken;
            if taken < slice.len() {
                break;
            }
        }
        if self.outgoing.ready_len() >= SEND_FROM {
            // Pending is no concern of this write, which has taken bytes; the next one that finds no room waits.
            if let Poll::Ready(Err(error)) = self.outgoing.poll_send(&mut self.io, cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(total))
    }

    /// After the peer sent what it must not, or ended the connection, nothing more is for it.
    fn check_writable(&self) -> Result<(), RecordError> {
        match self.incoming.failure() {
            _ if self.closing => Err(RecordError::Closed),
            None | Some(RecordError::Truncated { .. }) => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Tells the peer what was wrong with what it sent, if that can be done at once: when something waits to be sent
    /// already, a writer waits too, whose waker must not be replaced, and the alert is dropped.
    fn tell(&mut self, alert: AlertDescription, cx: &mut Context<'_>) {
        if self.closing || !self.outgoing.is_empty() || self.outgoing.alert(alert).is_err() {
            return;
        }
        self.closing = true;
        if let Poll::Ready(Ok(())) = self.outgoing.poll_send(&mut self.io, cx) {
            self.outgoing.release();
            // The error that is on its way to the reader says more than one of this.
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = this.incoming.poll_read(&mut this.io, cx, out, &mut this.secrets);
        if this.incoming.take_key_request() {
            this.outgoing.request_new_key();
        }
        match &read {
            Poll::Pending => {
                if let Poll::Ready(Err(error)) = this.poll_send_handshake(cx) {
                    return Poll::Ready(Err(error));
                }
            }
            Poll::Ready(Err(_)) => {
                if let Some(alert) = this.incoming.failure().and_then(RecordError::alert) {
                    this.tell(alert, cx);
                }
            }
            Poll::Ready(Ok(())) => {}
        }
        read
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_append(cx, std::iter::once(data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_append(cx, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.handshake = LastFlight::Settled;
        this.outgoing.seal()?;
        ready!(this.outgoing.poll_send(&mut this.io, cx))?;
        this.outgoing.release();
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            self.closing = true;
            self.outgoing.alert(AlertDescription::CloseNotify)?;
        }
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
