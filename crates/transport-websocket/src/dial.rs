//! Outbound connections.

use crate::{
    address::Address,
    config::Settings,
    error::{self, UpgradeError},
    frame::Role,
    stream::WsStream,
    upgrade,
};
use skep_api::{
    BoxIo,
    transport::{RawLink, TransportError},
};
use skep_tcp_port::{Ports, dial as dial_tcp};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// Connects to an address and upgrades the connection.
pub(crate) async fn dial(
    address: &Address,
    settings: &Settings,
    ports: &Ports,
) -> Result<RawLink, TransportError> {
    let remote = address.to_multiaddr();
    let tcp = dial_tcp(&address.endpoint, &remote, address.kind(), &settings.tcp, ports).await?;
    let local = address.at(&tcp.local);
    let limit = settings.handshake_timeout;
    let upgraded = timeout(limit.0, upgrade_to(tcp.stream, address, settings)).await;
    let io =
        upgraded.map_err(|_| error::too_slow(&remote, limit))?.map_err(|e| error::upgrade(&remote, e))?;
    Ok(RawLink { io, local, remote })
}

async fn upgrade_to(tcp: TcpStream, address: &Address, settings: &Settings) -> Result<BoxIo, UpgradeError> {
    if address.tls {
        let tls = settings.tls.connect(Box::new(tcp), address).await?;
        over(tls, address, settings).await
    } else {
        over(tcp, address, settings).await
    }
}

async fn over<S>(mut io: S, address: &Address, settings: &Settings) -> Result<BoxIo, UpgradeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let received = upgrade::request(&mut io, address, settings.max_header_bytes).await?;
    Ok(Box::new(WsStream::new(io, Role::Client, received)))
}
