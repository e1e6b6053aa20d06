//! First datagrams of QUIC connections (RFC 9000, section 17.2.2; RFC 9001, section 5).

use skep_tls::rustls::{
    ClientConfig, RootCertStore, Side,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider, kx_group::X25519},
    },
    pki_types::ServerName,
    quic::{ClientConnection, Version},
    version::TLS13,
};
use std::sync::Arc;

/// The size that a first datagram must have at least.
const LEN: usize = 1200;
const SOURCE_ID: [u8; 8] = *b"nobody's";
const TAG: usize = 16;
/// Where the packet number is: after the first byte, the version, both ids with their lengths, the length of no token,
/// and the length of the rest.
const NUMBER_AT: usize = 1 + 4 + 9 + 9 + 1 + 2;

/// A configuration of TLS that is good for one `ClientHello`, a small one.
pub(crate) fn config() -> Arc<ClientConfig> {
    let provider = CryptoProvider { kx_groups: vec![X25519], ..default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"libp2p".to_vec()];
    Arc::new(config)
}

/// Makes datagrams that all begin a connection of their own.
pub(crate) struct Initials {
    hello: Vec<u8>,
}

impl Initials {
    pub(crate) fn new() -> Self {
        // The parameter that a client must give (RFC 9000, section 7.3).
        let parameters = [&[0x0f, 8][..], &SOURCE_ID].concat();
        let name = ServerName::try_from("libp2p").unwrap();
        let mut client = ClientConnection::new(config(), Version::V1, name, parameters).unwrap();
        let mut hello = Vec::new();
        client.write_hs(&mut hello);
        assert!(hello.len() < 1000);
        Self { hello }
    }

    /// The first datagram of the connection with this number: every second has half of a `ClientHello`.
    pub(crate) fn packet(&self, number: u64) -> Vec<u8> {
        let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let hello =
            if number.is_multiple_of(2) { &self.hello[..] } else { &self.hello[..self.hello.len() / 2] };
        let mut packet = Vec::with_capacity(LEN);
        packet.extend([0xc3, 0, 0, 0, 1, 8]);
        packet.extend(id);
        packet.push(8);
        packet.extend(SOURCE_ID);
        packet.push(0);
        packet.extend(long((LEN - NUMBER_AT) as u16));
        packet.extend([0; 4]);
        let mut payload = vec![0x06, 0];
        payload.extend(long(hello.len() as u16));
        payload.extend(hello);
        payload.resize(LEN - TAG - packet.len(), 0);
        self.seal(packet, payload, &id)
    }

    fn seal(&self, mut packet: Vec<u8>, mut payload: Vec<u8>, id: &[u8]) -> Vec<u8> {
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap().quic_suite().unwrap();
        let keys = suite.keys(id, Side::Client, Version::V1).local;
        let tag = keys.packet.encrypt_in_place(0, &packet, &mut payload).unwrap();
        payload.extend_from_slice(tag.as_ref());
        let (head, number) = packet.split_at_mut(NUMBER_AT);
        keys.header.encrypt_in_place(&payload[..16], &mut head[0], number).unwrap();
        packet.extend(payload);
        assert_eq!(packet.len(), LEN);
        packet
    }
}

/// A variable-length integer of two bytes.
fn long(number: u16) -> [u8; 2] {
    (number | 0x4000).to_be_bytes()
}
