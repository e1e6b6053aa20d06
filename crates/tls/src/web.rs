//! Configurations for a [`TlsStream`](crate::TlsStream) to or from the web: certificates that authorities have signed
//! for names, as in `wss`. They prove nothing about a peer id, which the handshake inside does.
//!
//! TLS 1.3 is the only version here, too. Servers that end at TLS 1.2 cannot be reached. The application protocol is
//! `http/1.1`, as a WebSocket needs it.

use crate::{
    config::finish_server,
    provider::{End, KeyExchange, provider},
    web_error::WebError,
};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime, pem::PemObject},
    version::TLS13,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const ALPN: &[u8] = b"http/1.1";

/// Whose word a dialler takes for a server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Roots {
    /// That of the authorities that the operating system trusts.
    #[default]
    System,
    /// That of the authorities in these files, in PEM, and of no others.
    Files(Vec<PathBuf>),
    /// Nobody's: any certificate will do, for any name and any time. Whoever is on the way can then read and change
    /// what TLS carries. That is as good as a connection without TLS, and good enough for one on which both ends go on
    /// to secure what they send, as peers of libp2p do: they prove their identity within.
    None,
}

/// A configuration for dialling servers whose certificates these authorities have signed.
///
/// The name to dial, a domain or an IP address, is given to [`TlsStream::connect`](crate::TlsStream::connect); it is
/// sent to the server, and with [`Roots::None`] nothing else comes of it. The configuration is good for any number of
/// connections. Reading the roots of the system takes some milliseconds, and touches files.
///
/// # Errors
/// [`WebError`], which names the file.
pub fn client(roots: &Roots) -> Result<Arc<ClientConfig>, WebError> {
    let provider = provider(KeyExchange::Classical, End::Client);
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(WebError::Internal)?;
    let mut config = match roots {
        Roots::System => builder.with_root_certificates(system_roots()?),
        Roots::Files(paths) => builder.with_root_certificates(file_roots(paths)?),
        Roots::None => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate { algorithms }))
        }
    }
    .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// A configuration for a server with a certificate from these files: a chain that begins with the server's own, and its
/// private key, both in PEM. It is good for any number of connections.
///
/// # Errors
/// [`WebError`], which names the file.
pub fn server_config(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, WebError> {
    let certificates = read_certificates(chain)?;
    let private_key =
        PrivateKeyDer::from_pem_file(key).map_err(|source| WebError::Key { path: key.into(), source })?;
    serve(certificates, private_key).map_err(|source| WebError::Pair {
        chain: chain.into(),
        key: key.into(),
        source,
    })
}

/// A configuration for a server with a certificate that it signs itself for these names, and the certificate, in DER.
/// Those who trust no one but authorities refuse it.
///
/// # Errors
/// [`WebError::Names`], [`WebError::Internal`].
pub fn self_signed(names: &[String]) -> Result<(Arc<ServerConfig>, Vec<u8>), WebError> {
    let names_error = |error: rcgen::Error| WebError::Names { source: error.into() };
    let params = CertificateParams::new(names).map_err(names_error)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(names_error)?;
    let certificate = params.self_signed(&key).map_err(names_error)?;
    let der = certificate.der().to_vec();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    Ok((serve(vec![certificate.into()], key).map_err(WebError::Internal)?, der))
}

fn serve(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider(KeyExchange::Classical, End::Server))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    finish_server(&mut config);
    Ok(Arc::new(config))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, WebError> {
    let wrong = |source| WebError::Certificates { path: path.into(), source };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if certificates.is_empty() {
        return Err(WebError::NoCertificates { path: path.into() });
    }
    Ok(certificates)
}

fn file_roots(paths: &[PathBuf]) -> Result<RootCertStore, WebError> {
    let mut store = RootCertStore::empty();
    for path in paths {
        for certificate in read_certificates(path)? {
            store.add(certificate).map_err(|source| WebError::Root { path: path.clone(), source })?;
        }
    }
    Ok(store)
}

fn system_roots() -> Result<RootCertStore, WebError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Of the hundred or so of a system, some are too old to be read. Those are no loss.
    let (added, _) = store.add_parsable_certificates(found.certs);
    match added {
        0 => Err(WebError::NoSystemRoots { source: found.errors.into_iter().next() }),
        _ => Ok(store),
    }
}

/// Takes any certificate, as long as the server holds its key.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 is the only version".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
