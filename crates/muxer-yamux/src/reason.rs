//! Why a connection ended, from what the `yamux` crate and the frames say.

use crate::shared::Shared;
use skep_api::{CloseReason, Code, Side, error::chain};
use std::io;
use yamux::{ConnectionError, FrameDecodeError};

/// The GoAway code that tells the peer it broke the protocol (yamux spec, "Go Away").
pub(crate) const PROTOCOL_ERROR: u32 = 1;
const INTERNAL_ERROR: u32 = 2;

/// The connection ended without an error of the crate.
pub(crate) fn of_end(shared: &Shared) -> CloseReason {
    match shared.go_away.get() {
        Some(&code) => of_go_away(code),
        None => CloseReason::Lost { what: "the peer ended the connection without a word".into() },
    }
}

/// The connection ended with an error of the crate.
pub(crate) fn of_error(error: ConnectionError, shared: &Shared) -> CloseReason {
    match error {
        ConnectionError::Closed => of_end(shared),
        ConnectionError::Io(e) | ConnectionError::Decode(FrameDecodeError::Io(e)) => of_io(&e),
        ConnectionError::NoMoreStreamIds => CloseReason::Closed {
            by: Side::Local,
            code: Code::NONE,
            text: "all stream numbers are used up".into(),
        },
        other => CloseReason::Violation { what: chain(&other) },
    }
}

fn of_go_away(code: u32) -> CloseReason {
    let text = match code {
        PROTOCOL_ERROR => "yamux protocol error",
        INTERNAL_ERROR => "yamux internal error",
        _ => "",
    };
    CloseReason::Closed { by: Side::Remote, code: Code(code), text: text.into() }
}

fn of_io(error: &io::Error) -> CloseReason {
    let what = match error.kind() {
        // So the layer below says that what arrived is not of its protocol.
        io::ErrorKind::InvalidData => return CloseReason::Violation { what: chain(error) },
        io::ErrorKind::UnexpectedEof => "the peer ended the connection inside of a frame".into(),
        _ => chain(error),
    };
    CloseReason::Lost { what }
}
