//! What can be wrong with certificates and keys that an operator gives.

use rustls::pki_types::pem;
use skep_api::error::BoxError;
use std::path::PathBuf;

/// A certificate, key or list of authorities that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// A file with certificates cannot be read.
    #[error("no certificates can be read from {}: it has to be a file in PEM", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// A file has no certificate in it.
    #[error("there is no certificate in {}: it has to have at least one, in PEM", path.display())]
    NoCertificates {
        /// The file.
        path: PathBuf,
    },
    /// A file with a private key cannot be read.
    #[error("no private key can be read from {}: it has to be a file in PEM, without a passphrase", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// A certificate and a key that do not serve.
    #[error(
        "the certificate in {} and the key in {} cannot be used: the first certificate has to be that of the key",
        chain.display(), key.display()
    )]
    Pair {
        /// The file with the certificates.
        chain: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// A certificate that cannot be that of an authority.
    #[error("a certificate in {} cannot be that of an authority", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The operating system has no authorities that it trusts, or they cannot be read.
    #[error(
        "no authorities are found that the system trusts: install its package of CA certificates, or name files"
    )]
    NoSystemRoots {
        /// The first reason that was found.
        source: Option<rustls_native_certs::Error>,
    },
    /// No certificate can be made for such names.
    #[error("no certificate can be made for these names: each has to be a domain or an IP address")]
    Names {
        /// Why not.
        source: BoxError,
    },
    /// The TLS library refused its own primitives.
    #[error("TLS could not be set up")]
    Internal(#[source] rustls::Error),
}
