//! The transport: which addresses it serves, and where its work is done.

use crate::{
    address::Address,
    config::QuicTransportConfig,
    dial::dial,
    endpoints::Endpoints,
    error,
    listen::QuicListener,
    tuning::{ALPN, Tuning},
};
use async_trait::async_trait;
use skep_api::{
    BuildCx, Multiaddr,
    security::Verifier,
    transport::{Link, Listener, Transport, TransportCapabilities, TransportError},
};
use skep_tls::{CertificateError, Identity};
use std::sync::Arc;

/// A transport that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuicBuildError {
    /// The node's key cannot sign, or the cryptographic library failed.
    #[error("no certificate can be made for the node's key")]
    Certificate(#[from] CertificateError),
    /// The cryptographic library lacks the cipher of QUIC's first packets.
    #[error("the cryptographic library has no AES-128-GCM, which QUIC begins with")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// Dials and listens on `/ip4|ip6/…/udp/…/quic-v1`.
#[derive(Debug)]
pub struct QuicTransport(pub(crate) Arc<Node>);

/// What dials and listeners of one transport share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) tuning: Tuning,
    /// What all accepted connections share.
    pub(crate) server: quinn::ServerConfig,
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) cx: BuildCx,
}

impl QuicTransport {
    /// A transport with these options for the node of `cx`; it opens no socket yet.
    ///
    /// # Errors
    /// [`QuicBuildError`]
    pub fn new(config: QuicTransportConfig, cx: &BuildCx) -> Result<Self, QuicBuildError> {
        let identity = Identity::new(cx.identity.keypair())?;
        let tuning = Tuning::new(config);
        let (tls, _) = skep_tls::server_config(&identity, Verifier::new(None), &[ALPN.to_vec()]);
        let server = tuning.server(tls)?;
        let endpoints = Arc::new(Endpoints::new(tuning.clone(), cx.tasks.clone()));
        Ok(Self(Arc::new(Node { identity, tuning, server, endpoints, cx: cx.clone() })))
    }
}

#[async_trait]
impl Transport for QuicTransport {
    fn supports(&self, addr: &Multiaddr) -> bool {
        Address::parse(addr).is_some()
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::muxed()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let address = Address::parse(addr).ok_or_else(|| error::unsupported(addr))?;
        dial(&self.0, &address).await
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let address = Address::parse(addr).ok_or_else(|| error::unsupported(addr))?;
        Ok(Box::new(QuicListener::bind(&self.0, &address)?))
    }
}
