//! Bad peers that speak QUIC.

use crate::{
    attack::Wire,
    bend::Guise,
    certificate::{client, honest_guise, server},
    honest::Layers,
    knock::{Reached, on},
};
use quinn::{
    Connection, Endpoint, ServerConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use skep::api::{Multiaddr, multiaddr::Protocol};
use skep_tls::rustls::pki_types::CertificateDer;
use std::{net::SocketAddr, sync::Arc};
use tokio::io::join;

const ALPN: &[&str] = &["libp2p"];
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub(crate) struct Quic;

impl Wire for Quic {
    fn layers(&self) -> Layers {
        Layers {
            transport: skep::transport_quic::PLUGIN,
            upgrades: None,
            listen: "/ip4/127.0.0.1/udp/0/quic-v1",
        }
    }

    async fn record(&self, at: &Multiaddr) -> Vec<u8> {
        let endpoint = Endpoint::client(ANY_PORT).unwrap();
        let connection = connect(&endpoint, &honest_guise(), at).await.unwrap();
        let shown = connection.peer_identity().unwrap().downcast::<Vec<CertificateDer<'_>>>().unwrap();
        shown[0].to_vec()
    }

    async fn dial(&self, guise: Guise, at: &Multiaddr) -> Reached {
        let endpoint = Endpoint::client(ANY_PORT).unwrap();
        match connect(&endpoint, &guise, at).await {
            Ok(connection) => knock(&endpoint, &connection).await,
            Err(e) => Reached::stopped(e),
        }
    }

    async fn listen(&self, guise: Guise) -> (Multiaddr, impl Future<Output = Reached> + Send + 'static) {
        let crypto = QuicServerConfig::try_from(server(&guise, ALPN)).unwrap();
        let endpoint = Endpoint::server(ServerConfig::with_crypto(Arc::new(crypto)), ANY_PORT).unwrap();
        let port = endpoint.local_addr().unwrap().port();
        let accept = async move {
            match endpoint.accept().await.unwrap().await {
                Ok(connection) => knock(&endpoint, &connection).await,
                Err(e) => Reached::stopped(e),
            }
        };
        (format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap(), accept)
    }
}

async fn connect(
    endpoint: &Endpoint,
    guise: &Guise,
    at: &Multiaddr,
) -> Result<Connection, quinn::ConnectionError> {
    let parts: Vec<_> = at.iter().collect();
    let [Protocol::Ip4(ip), Protocol::Udp(port), ..] = parts[..] else { panic!("{at}") };
    let crypto = QuicClientConfig::try_from(client(guise, ALPN)).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    endpoint.connect_with(config, (ip, port).into(), "libp2p").unwrap().await
}

/// A dialler is through before the listener has judged it: then it asks all the same.
async fn knock(endpoint: &Endpoint, connection: &Connection) -> Reached {
    let reached = match connection.open_bi().await {
        Ok((send, receive)) => on(join(receive, send)).await,
        Err(e) => Reached::stopped(e),
    };
    connection.close(0_u32.into(), b"");
    endpoint.wait_idle().await;
    reached
}
