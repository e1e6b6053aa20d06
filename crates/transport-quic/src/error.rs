//! The errors of the system and of the QUIC library as errors of the contract.

use quinn::{ConnectError, ConnectionError, TransportErrorCode};
use skep_api::{
    Multiaddr, escape,
    security::{SecurityError, SecurityErrorKind},
    transport::{TransportError, TransportErrorKind as Kind},
};
use skep_tls::{
    Outcome,
    rustls::{self, AlertDescription},
};
use std::io;

/// From where on the 256 codes of TLS alerts are within QUIC's (RFC 9001, section 4.8).
const ALERTS: u64 = 0x100;

/// An address that this transport does not serve.
pub(crate) fn unsupported(addr: &Multiaddr) -> TransportError {
    let detail = format!("{addr}: not of the form /ip4|ip6/<address>/udp/<port>/quic-v1");
    TransportError::new(Kind::Unsupported, detail)
}

/// A bind that failed.
pub(crate) fn binding(addr: &Multiaddr, error: io::Error) -> TransportError {
    let error = TransportError::from_io(addr, error);
    // A missing address family is no matter of routes for whoever listens.
    if error.kind() != Kind::Unreachable {
        return error;
    }
    with_source(TransportError::new(Kind::AddressUnavailable, addr.to_string()), error)
}

fn with_source(error: TransportError, from: TransportError) -> TransportError {
    match from.into_source() {
        Some(source) => error.with_source(source),
        None => error,
    }
}

/// A dial that the library refused to begin.
pub(crate) fn connect(addr: &Multiaddr, error: ConnectError) -> TransportError {
    let kind = match &error {
        ConnectError::EndpointStopping => Kind::Closed,
        ConnectError::InvalidRemoteAddress(_) => Kind::AddressUnavailable,
        _ => Kind::Other,
    };
    TransportError::new(kind, addr.to_string()).with_source(error)
}

/// A handshake that ended without a connection. What the verifier found is the cause where there is a verdict.
pub(crate) fn handshake(addr: &Multiaddr, error: ConnectionError, outcome: &Outcome) -> TransportError {
    if let Some(Err(verdict)) = outcome.take() {
        return TransportError::new(Kind::Handshake, addr.to_string()).with_source(verdict);
    }
    let (kind, what) = match &error {
        ConnectionError::VersionMismatch => {
            (Kind::Handshake, "it speaks no version of QUIC that this node does")
        }
        ConnectionError::TransportError(e) => match own_alert(e.code, &e.reason) {
            Some(verdict) => {
                return TransportError::new(Kind::Handshake, addr.to_string()).with_source(verdict);
            }
            None => (of_own(e.code), ""),
        },
        ConnectionError::ConnectionClosed(close) => return closed(addr, close.error_code, error),
        ConnectionError::ApplicationClosed(_) | ConnectionError::Reset => (Kind::Reset, ""),
        ConnectionError::TimedOut => (Kind::TimedOut, ""),
        ConnectionError::LocallyClosed => (Kind::Closed, "this node shuts down"),
        ConnectionError::CidsExhausted => (Kind::Other, "too many connections on one port"),
    };
    TransportError::new(kind, detail(addr, what)).with_source(error)
}

/// What this node's TLS found wrong. The library has it as the alert that the peer is told, and a text.
fn own_alert(code: TransportErrorCode, reason: &str) -> Option<SecurityError> {
    let own = match alert(code)? {
        AlertDescription::CertificateRequired => rustls::Error::NoCertificatesPresented,
        AlertDescription::NoApplicationProtocol => rustls::Error::NoApplicationProtocol,
        _ => return Some(SecurityError::new(SecurityErrorKind::Malformed, reason)),
    };
    Some(skep_tls::handshake_error(own))
}

/// The TLS alert that is in a code (RFC 9001, section 4.8).
fn alert(code: TransportErrorCode) -> Option<AlertDescription> {
    let number = u64::from(code).checked_sub(ALERTS)?;
    u8::try_from(number).ok().map(AlertDescription::from)
}

/// What this node's own stack found wrong.
fn of_own(code: TransportErrorCode) -> Kind {
    match code {
        // The library's word for the end of its own tasks.
        TransportErrorCode::INTERNAL_ERROR => Kind::Closed,
        _ => Kind::Handshake,
    }
}

/// What the peer's stack gave as its reason.
fn closed(addr: &Multiaddr, code: TransportErrorCode, error: ConnectionError) -> TransportError {
    if let Some(alert) = alert(code) {
        let verdict: SecurityError = skep_tls::handshake_error(rustls::Error::AlertReceived(alert));
        return TransportError::new(Kind::Handshake, addr.to_string()).with_source(verdict);
    }
    let kind = match code {
        TransportErrorCode::CONNECTION_REFUSED => Kind::Refused,
        // The peer's application closed it before it was made, or its stack is in trouble: bad luck.
        TransportErrorCode::NO_ERROR
        | TransportErrorCode::INTERNAL_ERROR
        | TransportErrorCode::INVALID_TOKEN
        | TransportErrorCode::APPLICATION_ERROR => Kind::Reset,
        _ => Kind::Handshake,
    };
    TransportError::new(kind, detail(addr, &escape::remote(&error.to_string()))).with_source(error)
}

/// A handshake that took longer than the table allows.
pub(crate) fn too_slow(
    addr: &Multiaddr,
    limit: skep_api::config::DurationText,
    elapsed: tokio::time::error::Elapsed,
) -> TransportError {
    let detail = format!("{addr}: no connection within {limit} (`handshake_timeout`)");
    TransportError::new(Kind::TimedOut, detail).with_source(elapsed)
}

/// A handshake that ended well, but without a verdict on the peer: never to be taken for one that has it.
pub(crate) fn unproved(addr: &Multiaddr) -> TransportError {
    TransportError::new(Kind::Handshake, detail(addr, "the peer has not proved who it is"))
}

fn detail(addr: &Multiaddr, what: &str) -> String {
    if what.is_empty() { addr.to_string() } else { format!("{addr}: {what}") }
}
