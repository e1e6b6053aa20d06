//! Bound addresses and the connections that come in.

use crate::{
    Config,
    accept::{Rests, Verdict, judge},
    endpoint::{Endpoint, multiaddr_of},
    error, interfaces,
    reuse::{ListeningPorts, PortGuard},
    socket,
};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    transport::{Incoming, Link, Listener, RawLink, TransportError, TransportErrorKind},
};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;

/// A listening socket.
#[derive(Debug)]
pub(crate) struct TcpListener {
    socket: tokio::net::TcpListener,
    addr: Multiaddr,
    expansion: Expansion,
    rests: Rests,
    config: Arc<Config>,
    _port: PortGuard,
}

/// The addresses that a listener can be dialled on.
#[derive(Debug)]
enum Expansion {
    /// The one it is bound to.
    Bound,
    /// Those of all interfaces. They are asked for again each time, for interfaces come and go; the addresses
    /// kept here, of the time of the bind, stand in when the system gives none.
    Wildcard { socket: SocketAddr, at_bind: Vec<Multiaddr> },
}

impl TcpListener {
    /// Binds an endpoint.
    pub(crate) fn bind(endpoint: &Endpoint, config: Arc<Config>, ports: &ListeningPorts) -> io::Result<Self> {
        let socket = socket::listening(endpoint.to_socket_addr()?, &config)?;
        let bound = socket.local_addr()?;
        let expansion = if bound.ip().is_unspecified() {
            Expansion::Wildcard { socket: bound, at_bind: expand(bound)? }
        } else {
            Expansion::Bound
        };
        // The zone stays as the caller wrote it, by name.
        let addr = endpoint.with_port(bound.port()).to_multiaddr();
        Ok(Self { socket, addr, expansion, rests: Rests::default(), config, _port: ports.add(bound) })
    }

    fn incoming(&self, stream: TcpStream, remote: SocketAddr) -> io::Result<Box<dyn Incoming>> {
        let local = multiaddr_of(stream.local_addr()?);
        let remote = multiaddr_of(remote);
        Ok(Box::new(TcpIncoming { stream: Some(stream), local, remote, config: Arc::clone(&self.config) }))
    }
}

fn expand(wildcard: SocketAddr) -> io::Result<Vec<Multiaddr>> {
    let ips = interfaces::addresses(wildcard.is_ipv6())?;
    Ok(ips.into_iter().map(|ip| multiaddr_of(SocketAddr::new(ip, wildcard.port()))).collect())
}

#[async_trait]
impl Listener for TcpListener {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        match &self.expansion {
            Expansion::Bound => vec![self.addr.clone()],
            Expansion::Wildcard { socket, at_bind } => expand(*socket).unwrap_or_else(|_| at_bind.clone()),
        }
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        loop {
            self.rests.wait().await;
            let error = match self.socket.accept().await {
                Ok((stream, remote)) => match self.incoming(stream, remote) {
                    Ok(incoming) => {
                        self.rests.end();
                        return Ok(incoming);
                    }
                    // The socket has no address any more: its peer is gone.
                    Err(_) => continue,
                },
                Err(error) => error,
            };
            match judge(&error) {
                Verdict::Skip => tracing::debug!(addr = %self.addr, %error, "a connection died in the queue"),
                Verdict::Rest => self.rests.begin(&self.addr, &error),
                Verdict::Dead => {
                    let closed = TransportError::new(TransportErrorKind::Closed, self.addr.to_string());
                    return Err(closed.with_source(error));
                }
            }
        }
    }
}

/// An accepted socket of which nothing was read or set.
#[derive(Debug)]
struct TcpIncoming {
    /// Empty once the connection is taken.
    stream: Option<TcpStream>,
    local: Multiaddr,
    remote: Multiaddr,
    config: Arc<Config>,
}

#[async_trait]
impl Incoming for TcpIncoming {
    fn remote_addr(&self) -> &Multiaddr {
        &self.remote
    }

    fn local_addr(&self) -> &Multiaddr {
        &self.local
    }

    async fn accept(mut self: Box<Self>) -> Result<Link, TransportError> {
        let Some(stream) = self.stream.take() else {
            return Err(TransportError::new(TransportErrorKind::Closed, self.remote.to_string()));
        };
        socket::tune(&stream, &self.config).map_err(|e| error::connection(&self.remote, e))?;
        let (local, remote) = (self.local.clone(), self.remote.clone());
        Ok(Link::Raw(RawLink { io: Box::new(stream), local, remote }))
    }

    fn refuse(self: Box<Self>) {}
}

impl Drop for TcpIncoming {
    /// Turns the connection away with a reset. An orderly close would look to the dialler like a peer that has
    /// nothing to say, and would leave this host a socket to time out for every stranger that it refuses.
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            // A socket that cannot be set closes in order, which ends the connection as well.
            let _ = stream.set_zero_linger();
        }
    }
}
