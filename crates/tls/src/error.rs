//! What can be wrong with certificates and handshakes, and how it becomes an error of the contract.

use rustls::{AlertDescription, CertificateError as Refusal, InvalidMessage};
use skep_api::{
    error::BoxError,
    security::{SecurityError, SecurityErrorKind},
};
use std::fmt;
use x509_parser::time::ASN1Time;

/// This node's own certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The identity key did not sign.
    #[error("the node's identity key cannot sign a TLS certificate")]
    Sign(#[source] BoxError),
    /// The key pair or the certificate could not be made.
    #[error("a TLS certificate could not be made")]
    Make(#[source] BoxError),
    /// The certificate's own key could not be used.
    #[error("the key of a new TLS certificate cannot be used")]
    Key(#[from] rustls::Error),
}

impl CertificateError {
    /// What can be done about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Sign(_) => "use another identity key",
            Self::Make(_) | Self::Key(_) => {
                "the cryptographic library refused, which no other identity key changes: report it"
            }
        }
    }

    pub(crate) fn make(error: rcgen::Error) -> Self {
        Self::Make(error.into())
    }
}

/// What is wrong with a peer's certificate (libp2p specs, tls/tls.md, "Peer Authentication").
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadCertificate {
    /// There has to be exactly one certificate.
    #[error("{found} certificates were sent, but libp2p wants exactly one")]
    Count {
        /// How many there were.
        found: usize,
    },
    /// It is larger than any that libp2p needs.
    #[error("the certificate has {len} bytes, at most {max} are allowed", max = crate::MAX_CERTIFICATE_LEN)]
    TooLarge {
        /// Its size in bytes.
        len: usize,
    },
    /// It is not an X.509 certificate.
    #[error("the certificate is not well formed")]
    Malformed(#[source] BoxError),
    /// Something follows the certificate.
    #[error("{extra} bytes follow the certificate")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// It is not valid yet.
    #[error("the certificate is valid from {from} on, and it is {now}: check the clocks of both ends")]
    NotYetValid {
        /// When it becomes valid.
        from: Timestamp,
        /// What this node's clock says.
        now: Timestamp,
    },
    /// It is valid no longer.
    #[error("the certificate was valid until {until}, and it is {now}: check the clocks of both ends")]
    Expired {
        /// When it ceased to be valid.
        until: Timestamp,
        /// What this node's clock says.
        now: Timestamp,
    },
    /// The two places that name the algorithm of its signature disagree.
    #[error("the certificate names two different algorithms for its signature")]
    AlgorithmsDiffer,
    /// It is signed by an algorithm that is not supported.
    #[error("the certificate is signed by an algorithm that is not supported ({oid})")]
    Algorithm {
        /// The object identifier of the algorithm.
        oid: String,
    },
    /// It is not signed by its own key.
    #[error("the certificate is not signed by its own key")]
    SelfSignature,
    /// It has an extension that must be understood, and is not.
    #[error("the certificate has a critical extension that is not understood ({oid})")]
    Critical {
        /// The object identifier of the extension.
        oid: String,
    },
    /// Its key may not be used for a handshake.
    #[error("the certificate's key usage does not allow digital signatures")]
    KeyUsage,
    /// It says nothing about a peer id.
    #[error("the certificate does not have the libp2p extension")]
    NoExtension,
    /// It speaks of more than one peer id.
    #[error("the certificate has the libp2p extension more than once")]
    RepeatedExtension,
    /// The libp2p extension is not what it should be.
    #[error("the libp2p extension of the certificate is not well formed")]
    BadExtension,
}

impl BadCertificate {
    /// The kind of this error, as the contract has it.
    #[must_use]
    pub fn kind(&self) -> SecurityErrorKind {
        match self {
            Self::Count { .. }
            | Self::TooLarge { .. }
            | Self::Malformed(_)
            | Self::Trailing { .. }
            | Self::AlgorithmsDiffer
            | Self::Critical { .. }
            | Self::BadExtension
            | Self::RepeatedExtension => SecurityErrorKind::Malformed,
            Self::Algorithm { .. } => SecurityErrorKind::BadIdentity,
            Self::NotYetValid { .. }
            | Self::Expired { .. }
            | Self::SelfSignature
            | Self::KeyUsage
            | Self::NoExtension => SecurityErrorKind::BadSignature,
        }
    }

    /// What the peer is told, as rustls turns it into an alert.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::NotYetValid { .. } => Refusal::NotValidYet,
            Self::Expired { .. } => Refusal::Expired,
            Self::SelfSignature => Refusal::BadSignature,
            Self::Critical { .. } => Refusal::UnhandledCriticalExtension,
            _ => Refusal::BadEncoding,
        }
    }
}

impl From<BadCertificate> for SecurityError {
    fn from(error: BadCertificate) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}

/// A point in time, in seconds since 1970, shown as a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ASN1Time::from_timestamp(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} s after 1970", self.0),
        }
    }
}

/// A handshake that rustls ended. What it has to say of the peer's certificate is in [`crate::Outcome`] and says more.
#[must_use]
pub fn handshake_error(error: rustls::Error) -> SecurityError {
    let (kind, detail) = match &error {
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        rustls::Error::NoCertificatesPresented => {
            (SecurityErrorKind::BadSignature, "it sent no certificate".to_owned())
        }
        rustls::Error::InvalidCertificate(Refusal::BadSignature) => {
            (SecurityErrorKind::BadSignature, "it does not hold the key of its certificate".to_owned())
        }
        rustls::Error::NoApplicationProtocol => (
            SecurityErrorKind::NoCommonProtocol,
            "the peer offers no application protocol of ours".to_owned(),
        ),
        rustls::Error::PeerIncompatible(_) => (SecurityErrorKind::NoCommonProtocol, error.to_string()),
        rustls::Error::DecryptError => (SecurityErrorKind::Decrypt, "TLS handshake".to_owned()),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (SecurityErrorKind::Malformed, "it is not TLS".to_owned())
        }
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InvalidCertificate(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerMisbehaved(_)
        | rustls::Error::PeerSentOversizedRecord => (SecurityErrorKind::Malformed, error.to_string()),
        _ => (SecurityErrorKind::Internal, error.to_string()),
    };
    SecurityError::new(kind, detail).with_source(error)
}

fn of_alert(alert: AlertDescription) -> (SecurityErrorKind, String) {
    let kind = match alert {
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity
        | AlertDescription::NoApplicationProtocol => SecurityErrorKind::NoCommonProtocol,
        AlertDescription::BadRecordMac | AlertDescription::DecryptError => SecurityErrorKind::Decrypt,
        _ => SecurityErrorKind::Io,
    };
    (kind, format!("the peer ended the handshake with the alert {alert:?}"))
}
