//! Configurations of rustls for one connection between two peers: TLS 1.3 alone, both ends with certificates, nothing
//! resumed, no early data, no server name.

use crate::{
    identity::Identity,
    judge::{Judge, Outcome},
};
use rustls::{
    ClientConfig, ConfigBuilder, Error, ServerConfig, WantsVerifier, client::Resumption,
    crypto::CryptoProvider, server::NoServerSessionStorage, sign::SingleCertAndKey, version::TLS13,
};
use skep_api::security::Verifier;
use std::sync::Arc;

/// A configuration for dialling one peer, and where to find out who answered.
///
/// `alpn` are the application protocols to offer, best first. The configuration is good for one connection: its
/// verifier is used up by it. It lets the secrets of the connection be extracted, which [`crate::TlsStream`] needs.
#[must_use]
pub fn client_config(
    identity: &Identity,
    verifier: Verifier,
    alpn: &[Vec<u8>],
) -> (Arc<ClientConfig>, Outcome) {
    let mut config = identity.client().clone();
    let judge = Judge::new(verifier, config.crypto_provider().signature_verification_algorithms);
    let outcome = Outcome::new(Arc::clone(&judge));
    config.dangerous().set_certificate_verifier(judge);
    config.alpn_protocols = alpn.to_vec();
    (Arc::new(config), outcome)
}

/// A configuration for accepting one peer, and where to find out who it is.
///
/// `alpn` are the application protocols to accept, best first: rustls goes by this end's order. The peer has to send
/// a certificate. As with [`client_config`], the configuration is good for one connection.
#[must_use]
pub fn server_config(
    identity: &Identity,
    verifier: Verifier,
    alpn: &[Vec<u8>],
) -> (Arc<ServerConfig>, Outcome) {
    let builder = identity.server().clone();
    let judge = Judge::new(verifier, builder.crypto_provider().signature_verification_algorithms);
    let outcome = Outcome::new(Arc::clone(&judge));
    let mut config = builder.with_client_cert_verifier(judge).with_cert_resolver(identity.key());
    config.alpn_protocols = alpn.to_vec();
    finish_server(&mut config);
    (Arc::new(config), outcome)
}

/// What all connections that are dialled share.
pub(crate) fn base_client(
    provider: Arc<CryptoProvider>,
    key: Arc<SingleCertAndKey>,
) -> Result<ClientConfig, Error> {
    let nobody = Judge::new(Verifier::new(None), provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(nobody)
        .with_client_cert_resolver(key);
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_secret_extraction = true;
    Ok(config)
}

/// What all connections that are accepted share.
pub(crate) fn base_server(
    provider: Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, Error> {
    ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])
}

/// Nothing is resumed, and this end's order of ciphers counts.
pub(crate) fn finish_server(config: &mut ServerConfig) {
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.enable_secret_extraction = true;
}

#[cfg(test)]
mod tests;
