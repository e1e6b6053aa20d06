//! Addresses of this transport: `/memory/<number>`.

use skep_api::{
    Multiaddr,
    multiaddr::Protocol,
    transport::{TransportError, TransportErrorKind},
};

/// Reads `/memory/<number>[/p2p/<id>]`; any other form is `None`.
pub(crate) fn number_of(addr: &Multiaddr) -> Option<u64> {
    let mut parts = addr.iter();
    let Protocol::Memory(number) = parts.next()? else { return None };
    match (parts.next(), parts.next()) {
        (None, _) | (Some(Protocol::P2p(_)), None) => Some(number),
        _ => None,
    }
}

/// The multiaddr of a number.
pub(crate) fn multiaddr_of(number: u64) -> Multiaddr {
    Protocol::Memory(number).into()
}

/// An address that this transport does not serve.
pub(crate) fn unsupported(addr: &Multiaddr) -> TransportError {
    let detail = format!("{addr}: not of the form /memory/<number>");
    TransportError::new(TransportErrorKind::Unsupported, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_memory_addresses_are_read() {
        let id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        for (text, number) in [
            ("/memory/7", Some(7)),
            ("/memory/0", Some(0)),
            (&format!("/memory/7/p2p/{id}"), Some(7)),
            (&format!("/memory/7/p2p/{id}/p2p-circuit"), None),
            ("/memory/7/ws", None),
            ("/ip4/127.0.0.1/tcp/7", None),
        ] {
            assert_eq!(number_of(&text.parse().unwrap()), number, "{text}");
        }
        assert_eq!(number_of(&Multiaddr::empty()), None);
        assert_eq!(multiaddr_of(7).to_string(), "/memory/7");
    }
}
