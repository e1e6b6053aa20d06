//! From the table to the QUIC library's own configuration. Whatever the table says of QUIC itself passes through here.

use crate::config::{Congestion, QuicTransportConfig};
use quinn::{
    ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, NoneTokenStore, ServerConfig,
    TransportConfig, VarInt,
    congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig},
    crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig},
};
use skep_tls::rustls;
use std::sync::Arc;

/// The application protocol of libp2p over QUIC (libp2p specs, quic).
pub(crate) const ALPN: &[u8] = b"libp2p";

/// Bytes that are kept of a connection's packets while it waits to be accepted. A handshake opens with one or two.
const WAITING_BYTES: u64 = 16 * 1024;

/// What is the same for all connections of a transport.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    config: Arc<QuicTransportConfig>,
    transport: Arc<TransportConfig>,
}

impl Tuning {
    pub(crate) fn new(config: QuicTransportConfig) -> Self {
        let transport = Arc::new(transport(&config));
        Self { config: Arc::new(config), transport }
    }

    pub(crate) fn config(&self) -> &QuicTransportConfig {
        &self.config
    }

    /// What a socket's endpoint needs to know.
    pub(crate) fn endpoint(&self) -> EndpointConfig {
        let mut endpoint = EndpointConfig::default();
        // Version 1 alone (RFC 9000): the drafts are gone from the other implementations.
        endpoint.supported_versions(vec![1]);
        let payload = self.config.max_mtu.max(1_472);
        // In the library's range, for the table's is smaller.
        let _ = endpoint.max_udp_payload_size(payload);
        endpoint
    }

    /// For the dial of one connection.
    pub(crate) fn client(
        &self,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<ClientConfig, NoInitialCipherSuite> {
        let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        client.transport_config(Arc::clone(&self.transport));
        client.token_store(Arc::new(NoneTokenStore));
        Ok(client)
    }

    /// For listeners.
    pub(crate) fn server(
        &self,
        tls: Arc<rustls::ServerConfig>,
    ) -> Result<ServerConfig, NoInitialCipherSuite> {
        let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        server.transport_config(Arc::clone(&self.transport));
        server.migration(self.config.migration);
        // As many may be in the hands of whoever accepts as wait in line.
        let waiting = usize::try_from(self.config.max_pending_incoming).unwrap_or(usize::MAX);
        let waiting = waiting.saturating_mul(2);
        server.max_incoming(waiting);
        server.incoming_buffer_size(WAITING_BYTES);
        server.incoming_buffer_size_total(WAITING_BYTES.saturating_mul(waiting as u64));
        Ok(server)
    }
}

/// The same as for the listener, with the TLS of one connection.
pub(crate) fn server_of_one(
    base: &ServerConfig,
    tls: Arc<rustls::ServerConfig>,
) -> Result<Arc<ServerConfig>, NoInitialCipherSuite> {
    let mut server = base.clone();
    server.crypto = Arc::new(QuicServerConfig::try_from(tls)?);
    Ok(Arc::new(server))
}

/// The part that both ends of a connection use.
fn transport(config: &QuicTransportConfig) -> TransportConfig {
    let mut transport = TransportConfig::default();
    // In range: the table's limit is an hour.
    let idle = IdleTimeout::try_from(config.idle_timeout.0).ok();
    let keep_alive = config.keep_alive.0;
    let discovery = config.mtu_discovery.then(|| {
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(config.max_mtu);
        discovery
    });
    let congestion: Arc<dyn ControllerFactory + Send + Sync> = match config.congestion {
        Congestion::Cubic => Arc::new(CubicConfig::default()),
        Congestion::Newreno => Arc::new(NewRenoConfig::default()),
        Congestion::Bbr => Arc::new(BbrConfig::default()),
    };
    transport
        .max_idle_timeout(idle)
        .keep_alive_interval((!keep_alive.is_zero()).then_some(keep_alive))
        .max_concurrent_bidi_streams(VarInt::from_u32(config.max_concurrent_streams))
        // libp2p has no use for these two (libp2p specs, quic), and the spin bit only tells others the round-trip time.
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .allow_spin(false)
        .stream_receive_window(VarInt::from_u32(config.stream_window))
        .receive_window(VarInt::from_u32(config.connection_window))
        .send_window(config.send_window.into())
        .congestion_controller_factory(congestion)
        .enable_segmentation_offload(config.gso)
        .min_mtu(config.min_mtu)
        .initial_mtu(config.initial_mtu)
        .mtu_discovery_config(discovery);
    transport
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn::Endpoint;
    use skep_api::{Keypair, config::DurationText, security::Verifier};
    use skep_tls::Identity;
    use std::net::SocketAddr;

    /// The name of a field of the library's configuration, and its value as it shows.
    fn shown(config: QuicTransportConfig, field: &str) -> String {
        let text = format!("{:?}", transport(&config));
        let start = text.find(&format!("{field}: ")).unwrap() + field.len() + 2;
        let rest = &text[start..];
        let mut depth = 0_i32;
        let end = rest.find(|c| {
            match c {
                '(' | '{' => depth += 1,
                ')' | '}' => depth -= 1,
                _ => {}
            }
            depth < 0 || (depth == 0 && c == ',')
        });
        rest[..end.unwrap_or(rest.len())].trim().to_string()
    }

    /// The field with the default table, and with one key changed.
    #[track_caller]
    fn reaches(field: &str, default: &str, change: impl FnOnce(&mut QuicTransportConfig), changed: &str) {
        let mut config = QuicTransportConfig::default();
        assert_eq!(shown(config.clone(), field), default, "{field}");
        change(&mut config);
        assert_eq!(shown(config, field), changed, "{field}");
    }

    #[test]
    fn keys_reach_the_library() {
        reaches("max_idle_timeout", "Some(30000)", |c| c.idle_timeout = DurationText::secs(7), "Some(7000)");
        reaches("keep_alive_interval", "Some(15s)", |c| c.keep_alive = DurationText::secs(3), "Some(3s)");
        reaches("keep_alive_interval", "Some(15s)", |c| c.keep_alive = DurationText::secs(0), "None");
        reaches("max_concurrent_bidi_streams", "256", |c| c.max_concurrent_streams = 7, "7");
        reaches("stream_receive_window", "8388608", |c| c.stream_window = 70_000, "70000");
        reaches(" receive_window", "33554432", |c| c.connection_window = 80_000, "80000");
        reaches("send_window", "16777216", |c| c.send_window = 90_000, "90000");
        reaches("enable_segmentation_offload", "true", |c| c.gso = false, "false");
        reaches(" initial_mtu", "1200", |c| c.initial_mtu = 1_300, "1300");
        reaches("min_mtu", "1200", |c| c.min_mtu = 1_250, "1250");
        reaches("upper_bound", "1452", |c| c.max_mtu = 4_000, "4000");
        assert_eq!(shown(QuicTransportConfig::default(), "max_concurrent_uni_streams"), "0");
        assert_eq!(shown(QuicTransportConfig::default(), "datagram_receive_buffer_size"), "None");
        let quiet = QuicTransportConfig { mtu_discovery: false, ..QuicTransportConfig::default() };
        assert_eq!(shown(quiet, "mtu_discovery_config"), "None");
    }

    /// The congestion controller of a connection, as the library shows it.
    async fn controller(congestion: Congestion) -> Box<dyn std::any::Any> {
        let tuning = Tuning::new(QuicTransportConfig { congestion, ..QuicTransportConfig::default() });
        let identity = Identity::new(&Keypair::generate_ed25519()).unwrap();
        let alpn = [ALPN.to_vec()];
        let (tls, _) = skep_tls::server_config(&identity, Verifier::new(None), &alpn);
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let server = Endpoint::server(tuning.server(tls).unwrap(), any).unwrap();
        let (tls, _) = skep_tls::client_config(&identity, Verifier::new(None), &alpn);
        let client = Endpoint::client(any).unwrap();
        let dial =
            client.connect_with(tuning.client(tls).unwrap(), server.local_addr().unwrap(), "x").unwrap();
        let (dialed, accepted) = tokio::join!(dial, async { server.accept().await.unwrap().await });
        let (dialed, _accepted) = (dialed.unwrap(), accepted.unwrap());
        dialed.congestion_state().into_any()
    }

    #[tokio::test]
    async fn the_congestion_controller_is_the_one_named() {
        assert!(controller(Congestion::Cubic).await.is::<quinn::congestion::Cubic>());
        assert!(controller(Congestion::Newreno).await.is::<quinn::congestion::NewReno>());
        assert!(controller(Congestion::Bbr).await.is::<quinn::congestion::Bbr>());
    }

    #[test]
    fn the_endpoint_speaks_version_1_and_takes_packets_of_the_largest_size() {
        let of = |max_mtu| {
            let tuning = Tuning::new(QuicTransportConfig { max_mtu, ..QuicTransportConfig::default() });
            format!("{:?}", tuning.endpoint())
        };
        assert!(of(1_452).contains("max_udp_payload_size: 1472, supported_versions: [1]"), "{}", of(1_452));
        assert!(of(8_000).contains("max_udp_payload_size: 8000"));
    }
}
