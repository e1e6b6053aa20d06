//! Peers that are no skep: the QUIC library alone, with certificates that can be wrong.
#![allow(clippy::expect_used, dead_code, reason = "helpers of tests, of which each program uses some")]

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{CertificateParams, CustomExtension, KeyPair, PublicKeyData, date_time_ymd};
use skep_api::{Keypair, security::Verifier};
use skep_tls::{
    Identity,
    rustls::{
        SignatureScheme,
        client::ResolvesClientCert,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        server::{ClientHello, ResolvesServerCert},
        sign::{CertifiedKey, SingleCertAndKey},
    },
};
use std::sync::Arc;

/// How a stranger differs from a good peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    NoCertificate,
    TwoCertificates,
    Expired,
    OtherProtocol,
}

impl Flaw {
    fn alpn(self) -> Vec<Vec<u8>> {
        vec![if self == Self::OtherProtocol { b"h3".to_vec() } else { b"libp2p".to_vec() }]
    }
}

fn any_port() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A client endpoint, which dials whoever it is told to.
pub(crate) fn client(key: &Keypair, flaw: Flaw) -> (quinn::Endpoint, quinn::ClientConfig) {
    let identity = Identity::new(key).expect("a certificate");
    let (tls, _) = skep_tls::client_config(&identity, Verifier::new(None), &flaw.alpn());
    let mut tls = (*tls).clone();
    tls.client_auth_cert_resolver = match flaw {
        Flaw::None | Flaw::OtherProtocol => tls.client_auth_cert_resolver,
        Flaw::NoCertificate => Arc::new(Nothing),
        Flaw::TwoCertificates => Arc::new(Twice(tls.client_auth_cert_resolver)),
        Flaw::Expired => expired(key),
    };
    let tls = QuicClientConfig::try_from(tls).expect("a cipher");
    (quinn::Endpoint::client(any_port()).expect("an endpoint"), quinn::ClientConfig::new(Arc::new(tls)))
}

/// A server endpoint.
pub(crate) fn server(key: &Keypair, flaw: Flaw) -> quinn::Endpoint {
    let identity = Identity::new(key).expect("a certificate");
    let (tls, _) = skep_tls::server_config(&identity, Verifier::new(None), &flaw.alpn());
    let mut tls = (*tls).clone();
    tls.cert_resolver = match flaw {
        Flaw::TwoCertificates => Arc::new(TwiceServed(tls.cert_resolver)),
        Flaw::Expired => expired(key),
        _ => tls.cert_resolver,
    };
    let tls = QuicServerConfig::try_from(tls).expect("a cipher");
    let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    quinn::Endpoint::server(config, any_port()).expect("an endpoint")
}

#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Twice(Arc<dyn ResolvesClientCert>);

impl ResolvesClientCert for Twice {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.resolve(hints, schemes).map(|key| twice(&key))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct TwiceServed(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for TwiceServed {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.resolve(hello).map(|key| twice(&key))
    }
}

fn twice(key: &CertifiedKey) -> Arc<CertifiedKey> {
    let chain = [key.cert.clone(), key.cert.clone()].concat();
    Arc::new(CertifiedKey::new(chain, Arc::clone(&key.key)))
}

/// A certificate that was good in the last century (libp2p specs, tls).
fn expired(identity: &Keypair) -> Arc<SingleCertAndKey> {
    let key = KeyPair::generate().expect("a key");
    let message = [b"libp2p-tls-handshake:".as_slice(), &key.subject_public_key_info()].concat();
    let signature = identity.sign(&message).expect("a signature");
    let octets = |bytes: &[u8]| [&[0x04, u8::try_from(bytes.len()).expect("short")], bytes].concat();
    let both = [octets(&identity.public().encode_protobuf()), octets(&signature)].concat();
    let sequence = [&[0x30, u8::try_from(both.len()).expect("short")], both.as_slice()].concat();
    let mut params = CertificateParams::default();
    let oid = [1, 3, 6, 1, 4, 1, 53_594, 1, 1];
    params.custom_extensions.push(CustomExtension::from_oid_content(&oid, sequence));
    params.not_before = date_time_ymd(1990, 1, 1);
    params.not_after = date_time_ymd(1999, 12, 31);
    let certificate = params.self_signed(&key).expect("a certificate");
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = skep_tls::rustls::crypto::aws_lc_rs::default_provider();
    let private = provider.key_provider.load_private_key(private).expect("a key");
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der().clone()], private)))
}
