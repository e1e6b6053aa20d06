//! Outbound connections.

use crate::{Kind, Options, Ports, endpoint, error, socket};
use skep_api::{
    Multiaddr,
    transport::{TransportError, TransportErrorKind},
};
use skep_ip_endpoint::{Endpoint, source_for};
use std::{io, net::SocketAddr};
use tokio::{net::TcpStream, time};

/// A connected stream and this end of it.
#[derive(Debug)]
pub struct Dialed {
    /// The stream.
    pub stream: TcpStream,
    /// This end.
    pub local: Endpoint,
}

/// Connects to an endpoint within the time that the options give. `addr` is what errors call it; `kind` is whose
/// listening ports may be dialled from.
///
/// # Errors
/// [`TransportError`] with `addr` in its detail and the system's error as its source. Wildcards and port 0 are
/// [`TransportErrorKind::AddressUnavailable`].
///
/// # Cancellation
/// Dropping the future closes the socket.
pub async fn dial(
    to: &Endpoint,
    addr: &Multiaddr,
    kind: Kind,
    options: &Options,
    ports: &Ports,
) -> Result<Dialed, TransportError> {
    let target = to.to_destination().map_err(|e| error::connection(addr, e))?;
    let limit = options.connect_timeout;
    match time::timeout(limit.0, connect_from_best_port(target, kind, options, ports)).await {
        Ok(Ok(Connected { stream, local })) => Ok(Dialed { stream, local: endpoint(local) }),
        Ok(Err(e)) => Err(error::connection(addr, e)),
        Err(elapsed) => {
            let detail = format!("{addr}: no connection within {limit} (`connect_timeout`)");
            Err(TransportError::new(TransportErrorKind::TimedOut, detail).with_source(elapsed))
        }
    }
}

/// Connects from a listening port where that is wanted and possible, else from a port that the system picks.
async fn connect_from_best_port(
    target: SocketAddr,
    kind: Kind,
    options: &Options,
    ports: &Ports,
) -> io::Result<Connected> {
    // Where the system sees no route it is left to say so when it connects.
    let source = if options.port_reuse { source_for(target).ok() } else { None };
    if let Some(source) = source.and_then(|source| ports.dial_from(kind, source.ip())) {
        match connect(Some(source), target, options).await {
            Ok(connected) if !connected.to_itself(target) => return Ok(connected),
            Err(e) if !is_conflict(&e) => return Err(e),
            // The pair of addresses is taken by another connection, or is one address: another port helps.
            Ok(_) | Err(_) => tracing::debug!(%source, %target, "the listening port cannot be dialled from"),
        }
    }
    let connected = connect(None, target, options).await?;
    if connected.to_itself(target) {
        let problem = "nobody listens there: the socket connected to itself";
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, problem));
    }
    Ok(connected)
}

fn is_conflict(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

/// A connected stream and its own address.
#[derive(Debug)]
struct Connected {
    stream: TcpStream,
    local: SocketAddr,
}

impl Connected {
    /// TCP connects a socket to itself when both ends have the same address and port. It takes a dial from the
    /// listening port to that port, or a system that picks the very port that is dialled on the same host.
    fn to_itself(&self, target: SocketAddr) -> bool {
        (self.local.ip(), self.local.port()) == (target.ip(), target.port())
    }
}

async fn connect(source: Option<SocketAddr>, target: SocketAddr, options: &Options) -> io::Result<Connected> {
    let unconnected = socket::unconnected(target)?;
    socket::set_ttl(&unconnected, target, options)?;
    if let Some(source) = source {
        socket::share_port(&unconnected)?;
        unconnected.bind(&source.into())?;
    }
    let stream = socket::connectable(unconnected).connect(target).await?;
    let local = stream.local_addr()?;
    socket::tune(&stream, options)?;
    Ok(Connected { stream, local })
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::time::Duration;

    async fn dialed(options: &Options) -> (TcpStream, tokio::net::TcpListener) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = endpoint(listener.local_addr().unwrap());
        let addr = endpoint.to_multiaddr();
        let dialed = dial(&endpoint, &addr, Kind::Stream, options, &Ports::default()).await.unwrap();
        (dialed.stream, listener)
    }

    #[tokio::test]
    async fn the_defaults_reach_the_socket() {
        let (stream, _listener) = dialed(&Options::default()).await;
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn options_reach_the_socket() {
        let options = Options {
            nodelay: false,
            keepalive: skep_api::config::DurationText::secs(0),
            ttl: Some(7),
            ..Options::default()
        };
        let (stream, _listener) = dialed(&options).await;
        let socket = SockRef::from(&stream);
        assert!(!socket.tcp_nodelay().unwrap());
        assert!(!socket.keepalive().unwrap());
        assert_eq!(socket.ttl_v4().unwrap(), 7);
    }
}
