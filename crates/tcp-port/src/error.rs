//! The system's errors as errors of the contract.

use skep_api::{
    Multiaddr,
    transport::{TransportError, TransportErrorKind},
};
use std::io;

/// A dial or an accepted connection that failed.
#[must_use]
pub fn connection(addr: &Multiaddr, error: io::Error) -> TransportError {
    if family_is_missing(&error) {
        return TransportError::new(TransportErrorKind::Unreachable, addr.to_string()).with_source(error);
    }
    TransportError::from_io(addr, error)
}

/// A listener that is dead.
#[must_use]
pub fn closed(addr: &Multiaddr, error: io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Closed, addr.to_string()).with_source(error)
}

/// A bind that failed.
#[must_use]
pub fn binding(addr: &Multiaddr, error: io::Error) -> TransportError {
    if family_is_missing(&error) {
        return TransportError::new(TransportErrorKind::AddressUnavailable, addr.to_string())
            .with_source(error);
    }
    TransportError::from_io(addr, error)
}

/// Whether the host has no such address family, as one without IPv6. The standard library has no kind for it.
fn family_is_missing(error: &io::Error) -> bool {
    /// `WSAEAFNOSUPPORT`, which `libc` does not name.
    const WINSOCK: i32 = 10_047;
    let code = if cfg!(windows) { WINSOCK } else { libc::EAFNOSUPPORT };
    error.raw_os_error() == Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_address_family_has_a_kind_for_each_side() {
        let addr: Multiaddr = "/ip6/::1/tcp/1".parse().unwrap();
        let missing = || io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
        assert_eq!(connection(&addr, missing()).kind(), TransportErrorKind::Unreachable);
        assert_eq!(binding(&addr, missing()).kind(), TransportErrorKind::AddressUnavailable);
    }
}
