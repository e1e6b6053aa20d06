//! A connection that came in, and how it is turned away.

use std::{io, net::SocketAddr};
use tokio::net::TcpStream;

/// An accepted socket of which nothing was read or set. Dropping it turns the connection away.
#[derive(Debug)]
pub struct Accepted {
    /// Empty once the connection is taken.
    stream: Option<TcpStream>,
    /// This end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

impl Accepted {
    /// # Errors
    /// When the socket has no address any more: its peer is gone.
    pub(crate) fn new(stream: TcpStream, remote: SocketAddr) -> io::Result<Self> {
        let local = stream.local_addr()?;
        Ok(Self { stream: Some(stream), local, remote })
    }

    pub(crate) fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    /// Takes the connection and sets its options.
    ///
    /// # Errors
    /// The system's, when the peer is gone.
    pub fn take(mut self, options: &crate::Options) -> io::Result<TcpStream> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        crate::socket::tune(stream, options)?;
        self.stream.take().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Accepted {
    /// Turns the connection away with a reset. An orderly close would look to the dialler like a peer that has
    /// nothing to say, and would leave this host a socket to time out for every stranger that it refuses.
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            // A socket that cannot be set closes in order, which ends the connection as well.
            let _ = stream.set_zero_linger();
        }
    }
}
