//! Between the codes of the contract, QUIC's variable-length integers, and the library's errors.

use quinn::{ConnectionError, TransportErrorCode, VarInt};
use skep_api::{CloseReason, Code, Side, escape};

/// A code as it goes on the wire.
pub(crate) fn to_wire(code: Code) -> VarInt {
    VarInt::from_u32(code.0)
}

/// A code from the wire. QUIC's have 62 bits, of which the contract knows the lower 32: a larger one means nothing here.
pub(crate) fn from_wire(code: VarInt) -> Code {
    u32::try_from(code.into_inner()).map_or(Code::UNKNOWN, Code)
}

/// Why a connection ended, from the library's error. `local` is what this node said when it closed.
pub(crate) fn reason(error: &ConnectionError, local: Option<&CloseReason>) -> CloseReason {
    let lost = |what: String| CloseReason::Lost { what };
    match error {
        ConnectionError::ApplicationClosed(close) => CloseReason::Closed {
            by: Side::Remote,
            code: from_wire(close.error_code),
            text: escape::remote(&String::from_utf8_lossy(&close.reason)),
        },
        ConnectionError::LocallyClosed => local.cloned().unwrap_or_else(|| CloseReason::local(Code::NONE)),
        // The library's word for the end of its own task, as at the end of the node.
        ConnectionError::TransportError(e) if e.code == TransportErrorCode::INTERNAL_ERROR => {
            lost(format!("the QUIC endpoint has ended: {}", escape::remote(&e.to_string())))
        }
        ConnectionError::TransportError(e) => CloseReason::Violation { what: escape::remote(&e.to_string()) },
        ConnectionError::ConnectionClosed(close) => {
            let text = escape::remote(&String::from_utf8_lossy(&close.reason));
            lost(format!("the peer's QUIC layer gave it up: {} ({text})", close.error_code))
        }
        ConnectionError::Reset => lost("the peer does not know the connection any more".into()),
        ConnectionError::TimedOut => lost("nothing came from the peer in time".into()),
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => lost(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn::{ApplicationClose, ConnectionClose};

    fn closed(code: u64, reason: &'static [u8]) -> ConnectionError {
        let error_code = VarInt::from_u64(code).unwrap();
        ConnectionError::ApplicationClosed(ApplicationClose { error_code, reason: reason.into() })
    }

    #[test]
    fn codes_survive_the_wire_and_larger_ones_are_unknown() {
        for code in [Code::NONE, Code::GATED, Code(0x7fff_ffff), Code::UNKNOWN] {
            assert_eq!(from_wire(to_wire(code)), code);
        }
        assert_eq!(from_wire(VarInt::from_u64(1 << 32).unwrap()), Code::UNKNOWN);
        assert_eq!(from_wire(VarInt::MAX), Code::UNKNOWN);
    }

    #[test]
    fn the_peers_words_are_escaped() {
        let CloseReason::Closed { by, code, text } = reason(&closed(7, b"\x1b[2Jbye\xff"), None) else {
            panic!("not a close")
        };
        assert_eq!((by, code), (Side::Remote, Code(7)));
        assert_eq!(text, "\\u{1b}[2Jbye\u{fffd}");
        let close = ConnectionClose {
            error_code: TransportErrorCode::PROTOCOL_VIOLATION,
            frame_type: None,
            reason: b"\nno"[..].into(),
        };
        let CloseReason::Lost { what } = reason(&ConnectionError::ConnectionClosed(close), None) else {
            panic!("not a loss")
        };
        assert!(what.ends_with("(\\nno)"), "{what}");
    }

    #[test]
    fn every_end_has_a_reason() {
        let local = CloseReason::local(Code::SHUTDOWN);
        assert_eq!(reason(&ConnectionError::LocallyClosed, Some(&local)), local);
        assert_eq!(reason(&ConnectionError::LocallyClosed, None), CloseReason::local(Code::NONE));
        for error in [ConnectionError::Reset, ConnectionError::TimedOut, ConnectionError::VersionMismatch] {
            assert!(matches!(reason(&error, Some(&local)), CloseReason::Lost { .. }), "{error}");
        }
    }
}
