use super::*;
use crate::handshake::HandshakeError;
use rustls::{CipherSuite, ClientConnection, Connection, NamedGroup, ServerConnection};
use skep_api::{Keypair, PeerId, security::SecurityErrorKind};

struct Pair {
    client: (Arc<ClientConfig>, Outcome),
    server: (Arc<ServerConfig>, Outcome),
    dialer: PeerId,
    listener: PeerId,
}

fn alpn(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn pair(expected: Option<PeerId>) -> Pair {
    let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let offer = alpn(&["libp2p"]);
    Pair {
        client: client_config(&Identity::new(&a).unwrap(), Verifier::new(expected), &offer),
        server: server_config(&Identity::new(&b).unwrap(), Verifier::new(None), &offer),
        dialer: a.public().to_peer_id(),
        listener: b.public().to_peer_id(),
    }
}

/// Carries the bytes from one to the other; what the receiver says of them.
fn carry(from: &mut Connection, to: &mut Connection) -> Result<usize, Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(bytes.len())
}

fn connect(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> (Connection, Connection, [Result<usize, Error>; 3]) {
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut client = Connection::Client(ClientConnection::new(client, name).unwrap());
    let mut server = Connection::Server(ServerConnection::new(server).unwrap());
    let results =
        [carry(&mut client, &mut server), carry(&mut server, &mut client), carry(&mut client, &mut server)];
    (client, server, results)
}

#[test]
fn two_peers_learn_who_the_other_is() {
    let pair = pair(None);
    let (client, server, results) = connect(pair.client.0, pair.server.0);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert_eq!(pair.client.1.take().unwrap().unwrap().peer(), pair.listener);
    assert_eq!(pair.server.1.take().unwrap().unwrap().peer(), pair.dialer);
    assert!(pair.client.1.take().is_none(), "a verdict is given once");
    assert_eq!(client.alpn_protocol(), Some(&b"libp2p"[..]));
    let fast = crate::has_fast_aes();
    let suite = client.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite == CipherSuite::TLS13_AES_128_GCM_SHA256, fast);
    assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519);
}

#[test]
fn the_dialler_decides_on_the_hybrid() {
    let options = || crate::Options { key_exchange: crate::KeyExchange::PostQuantum, ..Default::default() };
    let hybrid = || Identity::with(&Keypair::generate_ed25519(), options()).unwrap();
    let plain = || Identity::new(&Keypair::generate_ed25519()).unwrap();
    for (a, b, expected) in [
        (hybrid(), hybrid(), NamedGroup::X25519MLKEM768),
        (plain(), hybrid(), NamedGroup::X25519),
        (hybrid(), plain(), NamedGroup::X25519MLKEM768),
        (plain(), plain(), NamedGroup::X25519),
    ] {
        let client = client_config(&a, Verifier::new(None), &[]).0;
        let server = server_config(&b, Verifier::new(None), &[]).0;
        let (client, ..) = connect(client, server);
        assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), expected);
    }
}

#[test]
fn a_dialler_refuses_another_peer_before_it_says_who_it_is() {
    let pair = pair(Some(PeerId::random()));
    let (_, server, results) = connect(pair.client.0, pair.server.0);
    let error = results[1].clone().unwrap_err();
    assert_eq!(pair.client.1.explain(HandshakeError::from(error)).kind(), SecurityErrorKind::WrongPeer);
    assert!(server.is_handshaking() && server.peer_certificates().is_none());
    assert!(matches!(results[2], Err(Error::AlertReceived(rustls::AlertDescription::AccessDenied))));
    assert!(pair.server.1.take().is_none());
}

#[test]
fn a_dialler_without_a_certificate_is_refused() {
    let pair = pair(None);
    let mut anonymous = (*pair.client.0).clone();
    anonymous.client_auth_cert_resolver = Arc::new(Nothing);
    let (.., results) = connect(Arc::new(anonymous), pair.server.0);
    assert_eq!(results[2], Err(Error::NoCertificatesPresented));
    let error = pair.server.1.explain(HandshakeError::from(Error::NoCertificatesPresented));
    assert_eq!(error.kind(), SecurityErrorKind::BadSignature);
}

#[derive(Debug)]
struct Nothing;

impl rustls::client::ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn a_replayed_certificate_proves_nothing_without_its_key() {
    let pair = pair(None);
    // The listener's own key, under the certificate of somebody else.
    let (somebody, own) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let certificate = Identity::new(&somebody).unwrap().certificate().to_vec();
    let own = Identity::new(&own).unwrap();
    let mut config = (*server_config(&own, Verifier::new(None), &alpn(&["libp2p"])).0).clone();
    config.cert_resolver = Arc::new(Thief { certificate, own });
    let (.., results) = connect(pair.client.0, Arc::new(config));
    let error = pair.client.1.explain(HandshakeError::from(results[1].clone().unwrap_err()));
    assert_eq!(error.kind(), SecurityErrorKind::BadSignature);
    assert!(error.to_string().contains("does not hold the key"), "{error}");
}

#[derive(Debug)]
struct Thief {
    certificate: Vec<u8>,
    own: Identity,
}

impl rustls::server::ResolvesServerCert for Thief {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let own = rustls::server::ResolvesServerCert::resolve(&*self.own.key(), hello).unwrap();
        let stolen = vec![self.certificate.clone().into()];
        Some(Arc::new(rustls::sign::CertifiedKey::new(stolen, Arc::clone(&own.key))))
    }
}

#[test]
fn no_common_application_protocol_is_named() {
    let pair = pair(None);
    let mut config = (*pair.client.0).clone();
    config.alpn_protocols = alpn(&["http/1.1"]);
    let (.., results) = connect(Arc::new(config), pair.server.0);
    assert_eq!(results[0], Err(Error::NoApplicationProtocol));
    let error = pair.server.1.explain(HandshakeError::from(Error::NoApplicationProtocol));
    assert_eq!(error.kind(), SecurityErrorKind::NoCommonProtocol);
    let told = results[1].clone().unwrap_err();
    assert_eq!(pair.client.1.explain(HandshakeError::from(told)).kind(), SecurityErrorKind::NoCommonProtocol);
}

#[test]
fn nothing_is_resumed() {
    let key = Keypair::generate_ed25519();
    let (a, b) = (Identity::new(&key).unwrap(), Identity::new(&key).unwrap());
    for _ in 0..2 {
        let client = client_config(&a, Verifier::new(None), &[]).0;
        let server = server_config(&b, Verifier::new(None), &[]).0;
        let (client, server, _) = connect(client, server);
        for end in [client, server] {
            assert_eq!(end.handshake_kind(), Some(rustls::HandshakeKind::Full));
        }
    }
}
