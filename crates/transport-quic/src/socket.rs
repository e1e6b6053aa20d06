//! UDP sockets with the options of the configuration.

use crate::config::QuicTransportConfig;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

/// A socket bound to `addr`. One on an IPv6 address takes no IPv4 packets, so that `/ip4/0.0.0.0` and `/ip6/::` can
/// share a port.
pub(crate) fn bind(addr: SocketAddr, config: &QuicTransportConfig) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // A system that grants less than was asked for says nothing.
    socket.set_recv_buffer_size(usize::try_from(config.receive_buffer).unwrap_or(usize::MAX))?;
    socket.set_send_buffer_size(usize::try_from(config.send_buffer).unwrap_or(usize::MAX))?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    #[test]
    fn buffers_have_the_sizes_of_the_table() {
        let config = QuicTransportConfig {
            receive_buffer: 16_384,
            send_buffer: 32_768,
            ..QuicTransportConfig::default()
        };
        let socket = bind("127.0.0.1:0".parse().unwrap(), &config).unwrap();
        let (receive, send) = (
            SockRef::from(&socket).recv_buffer_size().unwrap(),
            SockRef::from(&socket).send_buffer_size().unwrap(),
        );
        // Linux doubles what was asked for, for its own bookkeeping.
        assert!([16_384, 32_768].contains(&receive), "{receive}");
        assert!([32_768, 65_536].contains(&send), "{send}");
    }
}
