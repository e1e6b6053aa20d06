//! Errors of the contract.

use skep_api::{
    Multiaddr,
    transport::{TransportError, TransportErrorKind},
};

/// An address that this transport does not serve.
pub(crate) fn unsupported(addr: &Multiaddr) -> TransportError {
    let detail = format!("{addr}: not of the form /ip4|ip6/<address>/tcp/<port>");
    TransportError::new(TransportErrorKind::Unsupported, detail)
}
