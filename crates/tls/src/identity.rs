//! This node's certificate: a key of its own, and the identity key's word for it.

use crate::{
    buffer::Buffers,
    config::{base_client, base_server},
    error::CertificateError,
    provider::{End, KeyExchange, provider},
    signed_key::{OID, SignedKey, signed_message},
};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::{
    ClientConfig, ConfigBuilder, ServerConfig, WantsVerifier,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
};
use skep_api::Keypair;
use std::{fmt, sync::Arc};

/// A self-signed certificate that proves this node's peer id, with its key; cheap to clone.
///
/// It is made once, and shared by all connections: the identity key signs once, and no connection pays for a key
/// pair. The key is one of P-256, which every libp2p implementation can verify.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    certificate: CertificateDer<'static>,
    key: Arc<SingleCertAndKey>,
    client: ClientConfig,
    server: ConfigBuilder<ServerConfig, WantsVerifier>,
    buffers: Buffers,
}

/// What an [`Identity`] does other than by default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// How two ends find their common secret.
    pub key_exchange: KeyExchange,
    /// Where the streams of this identity take their buffers from.
    pub buffers: Buffers,
}

impl Identity {
    /// Makes a certificate for the node with this identity key.
    ///
    /// That draws from the generator of random numbers of AWS-LC, whose first use takes some 50 ms: better here,
    /// when a node is built, than when the first peer waits.
    ///
    /// # Errors
    /// [`CertificateError`]: the identity key cannot sign, or the cryptographic library failed.
    pub fn new(keypair: &Keypair) -> Result<Self, CertificateError> {
        Self::with(keypair, Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Identity::new`].
    pub fn with(keypair: &Keypair, options: Options) -> Result<Self, CertificateError> {
        let (certificate, key) = certify(keypair)?;
        let provider = |end| provider(options.key_exchange, end);
        let key = provider(End::Client).key_provider.load_private_key(key)?;
        let key = Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![certificate.clone()], key)));
        let client = base_client(provider(End::Client), Arc::clone(&key))?;
        let server = base_server(provider(End::Server))?;
        Ok(Self(Arc::new(Inner { certificate, key, client, server, buffers: options.buffers })))
    }

    /// The certificate, in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.0.certificate
    }

    /// Where the streams of this identity take their buffers from.
    #[must_use]
    pub fn buffers(&self) -> &Buffers {
        &self.0.buffers
    }

    pub(crate) fn key(&self) -> Arc<SingleCertAndKey> {
        Arc::clone(&self.0.key)
    }

    pub(crate) fn client(&self) -> &ClientConfig {
        &self.0.client
    }

    pub(crate) fn server(&self) -> &ConfigBuilder<ServerConfig, WantsVerifier> {
        &self.0.server
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// The certificate and its private key.
///
/// The libp2p extension is its only one: js-libp2p looks at the first alone. The certificate holds from 1975 to
/// 4096, as those of rust-libp2p do, so that no clock is too wrong for it; what it proves does not age.
fn certify(
    identity: &Keypair,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), CertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CertificateError::make)?;
    let signature = identity
        .sign(&signed_message(&key.subject_public_key_info()))
        .map_err(|error| CertificateError::Sign(error.into()))?;
    let identity_key = identity.public().encode_protobuf();
    let signed = SignedKey { identity_key: &identity_key, signature: &signature };

    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = rcgen::date_time_ymd(1975, 1, 1);
    params.not_after = rcgen::date_time_ymd(4096, 1, 1);
    params.custom_extensions = vec![CustomExtension::from_oid_content(&OID, signed.encode())];
    let certificate = params.self_signed(&key).map_err(CertificateError::make)?;
    Ok((certificate.into(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
}
