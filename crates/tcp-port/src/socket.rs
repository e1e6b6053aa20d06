//! Sockets with the options of the configuration.

use crate::Options;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::{io, net::SocketAddr};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A socket of the address's family that is not connected yet.
pub(crate) fn unconnected(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A listener on `addr`. A listener on an IPv6 address takes no IPv4 connections, so that `/ip4/0.0.0.0` and
/// `/ip6/::` can share a port.
pub(crate) fn listening(addr: SocketAddr, options: &Options) -> io::Result<TcpListener> {
    let socket = unconnected(addr)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // On Unix this permits to bind while old connections of the port linger, and nothing more. On Windows it
    // would let another program steal the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// Lets sockets of the same user bind the same address and port.
///
/// For a listener it is set once the port is ours: set before, the bind would succeed on a port where another listener
/// of the same user has the option too, and the two would share its connections at random.
#[cfg(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin", target_os = "nuttx"))
))]
pub(crate) fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)
}

/// Lets sockets of the same user bind the same address and port: not on this system.
#[cfg(not(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin", target_os = "nuttx"))
)))]
pub(crate) fn share_port(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Hands a socket to tokio for connecting.
pub(crate) fn connectable(socket: Socket) -> TcpSocket {
    TcpSocket::from_std_stream(socket.into())
}

/// Sets the options of a connected stream.
pub(crate) fn tune(stream: &TcpStream, options: &Options) -> io::Result<()> {
    stream.set_nodelay(options.nodelay)?;
    let socket = SockRef::from(stream);
    set_ttl(&socket, stream.local_addr()?, options)?;
    let keepalive = options.keepalive.0;
    if keepalive.is_zero() {
        return socket.set_keepalive(false);
    }
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(keepalive).with_interval(keepalive))
}

/// Sets the hop limit, which for a dial has to be in place before the first packet.
pub(crate) fn set_ttl(socket: &Socket, family: SocketAddr, options: &Options) -> io::Result<()> {
    match options.ttl {
        Some(ttl) if family.is_ipv4() => socket.set_ttl_v4(ttl),
        Some(ttl) => socket.set_unicast_hops_v6(ttl),
        None => Ok(()),
    }
}
