//! The certificates of bad peers, and configurations of rustls that show them and take any.

use crate::bend::{Bend, Guise, element};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData,
};
use skep::api::Keypair;
use skep_tls::rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName as Subject, Error, ServerConfig, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs::{default_provider, sign::any_supported_type},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::{
        ClientHello, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use std::sync::Arc;

/// The object identifier of the libp2p extension, and as it stands in a certificate.
const OID: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];
const OID_DER: &[u8] = b"\x06\x0a\x2b\x06\x01\x04\x01\x83\xa2\x5a\x01\x01";
/// What is signed before the certificate's key.
const PREFIX: &[u8] = b"libp2p-tls-handshake:";

/// For dialling, with these application protocols.
pub(crate) fn client(guise: &Guise, alpn: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(Arc::new(Shown(show(guise))));
    config.alpn_protocols = names(alpn);
    config
}

/// For listening, with these application protocols.
pub(crate) fn server(guise: &Guise, alpn: &[&str]) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody))
        .with_cert_resolver(Arc::new(Shown(show(guise))));
    config.alpn_protocols = names(alpn);
    config
}

/// The guise of a peer that wants to learn another's certificate only.
pub(crate) fn honest_guise() -> Guise {
    let own = Keypair::generate_ed25519();
    Guise { bend: Bend::Nothing, third: own.clone(), own, recorded: Vec::new() }
}

fn names(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// What it shows, and the key that it signs the handshake with.
fn show(guise: &Guise) -> Arc<CertifiedKey> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let certificates = match guise.bend {
        Bend::NoCertificate => Vec::new(),
        Bend::TwoCertificates => vec![certificate(guise, &key); 2],
        Bend::Replayed => vec![guise.recorded.clone().into()],
        _ => vec![certificate(guise, &key)],
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Arc::new(CertifiedKey::new(certificates, any_supported_type(&key).unwrap()))
}

fn certificate(guise: &Guise, key: &KeyPair) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    (params.not_before, params.not_after) = match guise.bend {
        Bend::Expired => (year(1975), year(2020)),
        Bend::NotYetValid => (year(3000), year(4096)),
        _ => (year(1975), year(4096)),
    };
    let signed_key = match guise.bend {
        Bend::ReplayedExtension => extension_of(&guise.recorded),
        _ => {
            let proof = guise.proof(PREFIX, &key.subject_public_key_info());
            element(0x30, &[element(0x04, &proof.key), element(0x04, &proof.signature)].concat())
        }
    };
    if guise.bend != Bend::NoProof {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&OID, signed_key)];
    }
    if guise.bend == Bend::CertifiedByAnother {
        let another = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let issuer = Issuer::new(params.clone(), another);
        return params.signed_by(key, &issuer).unwrap().into();
    }
    params.self_signed(key).unwrap().into()
}

/// The value of the libp2p extension of a certificate, which is the last thing in it before its signature.
fn extension_of(certificate: &[u8]) -> Vec<u8> {
    let at = certificate.windows(OID_DER.len()).position(|window| window == OID_DER).unwrap();
    let value = &certificate[at + OID_DER.len()..];
    // An octet string of less than 128 bytes.
    assert!(value[0] == 0x04 && value[1] < 0x80, "{value:x?}");
    value[2..2 + usize::from(value[1])].to_vec()
}

/// Shows the same to everybody.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        (!self.0.cert.is_empty()).then(|| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        !self.0.cert.is_empty()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Takes any peer for what it says.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[Subject] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}
