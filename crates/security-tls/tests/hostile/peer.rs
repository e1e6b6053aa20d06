//! A peer that presents the certificates that it is told to, right or wrong.

use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use skep_api::{
    BoxIo, Keypair,
    security::{Role, Verifier},
};
use skep_tls::{
    Buffers, HandshakeError, Identity, TlsStream, client_config,
    rustls::{
        SignatureScheme,
        client::ResolvesClientCert,
        crypto::aws_lc_rs::sign::any_supported_type,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server_config,
};
use std::sync::Arc;

/// The object identifier of the libp2p extension.
const OID: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];

/// A certificate in the making, right in all respects until something is changed.
pub(crate) struct Forge {
    /// Whom the extension names.
    pub(crate) claimed: Vec<u8>,
    /// What is to be the claimed key's signature over the certificate's.
    pub(crate) signature: Vec<u8>,
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) identity: Keypair,
}

impl Forge {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let identity = Keypair::generate_ed25519();
        let message = [b"libp2p-tls-handshake:", &key.subject_public_key_info()[..]].concat();
        let (claimed, signature) = (identity.public().encode_protobuf(), identity.sign(&message).unwrap());
        Self { claimed, signature, params: CertificateParams::default(), key, identity }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The certificate, in DER.
    pub(crate) fn der(mut self) -> Vec<u8> {
        let content = [octets(&self.claimed), octets(&self.signature)].concat();
        let extension = CustomExtension::from_oid_content(&OID, element(0x30, &content));
        self.params.custom_extensions.push(extension);
        self.params.self_signed(&self.key).unwrap().der().to_vec()
    }

    /// What a peer presents with this certificate and its key.
    pub(crate) fn card(self) -> Card {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        Card { key: key.into(), chain: vec![self.der()] }
    }
}

fn octets(content: &[u8]) -> Vec<u8> {
    element(4, content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match content.len() {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&header[..], content].concat()
}

/// Certificates to present, and the key to sign with.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) chain: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Presents(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

impl ResolvesServerCert for Presents {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

/// Runs the peer's side in `role` with these certificates, or none.
pub(crate) async fn shake(
    io: BoxIo,
    role: Role,
    card: Option<Card>,
    alpn: &[&str],
) -> Result<TlsStream, HandshakeError> {
    let identity = Identity::new(&Keypair::generate_ed25519()).unwrap();
    let alpn: Vec<_> = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let certified = card.map(|Card { key, chain }| {
        let chain = chain.into_iter().map(Into::into).collect();
        Arc::new(CertifiedKey::new(chain, any_supported_type(&key).unwrap()))
    });
    let presents = Arc::new(Presents(certified));
    let buffers = Buffers::new(0);
    match role {
        Role::Dialer => {
            let mut config = (*client_config(&identity, Verifier::new(None), &alpn).0).clone();
            config.client_auth_cert_resolver = presents;
            let name = ServerName::try_from("localhost").unwrap();
            TlsStream::connect(io, Arc::new(config), name, &buffers).await
        }
        Role::Listener => {
            let mut config = (*server_config(&identity, Verifier::new(None), &alpn).0).clone();
            config.cert_resolver = presents;
            TlsStream::accept(io, Arc::new(config), &buffers).await
        }
    }
}
