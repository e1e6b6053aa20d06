//! What can go wrong, and as which error of the contract it is told.

use skep_api::{
    Multiaddr,
    error::BoxError,
    escape,
    transport::{TransportError, TransportErrorKind},
};
use skep_tls::{HandshakeError, WebError};
use std::io;
use tungstenite::http::StatusCode;

/// A frame that RFC 6455 does not allow, or that this transport has no use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Section 5.1.
    #[error("a client's frame is not masked")]
    Unmasked,
    /// Section 5.1.
    #[error("a server's frame is masked")]
    Masked,
    /// Section 5.2: no extension was agreed on.
    #[error("a frame has reserved bits set")]
    ReservedBits,
    /// Section 5.2.
    #[error("a frame has the reserved code {0}")]
    Opcode(u8),
    /// Section 5.2.
    #[error("a frame's length has its highest bit set")]
    Length,
    /// Section 5.5.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// Section 5.5.
    #[error("a control frame is longer than 125 bytes")]
    LongControl,
    /// Section 5.4.
    #[error("a frame continues a message that has not begun")]
    LoneContinuation,
    /// Section 5.4.
    #[error("a message begins within another")]
    BrokenMessage,
    /// Sections 5.5.1 and 7.4.
    #[error("a close frame is malformed")]
    Close,
    /// libp2p sends binary messages only.
    #[error("a message is text")]
    Text,
}

impl Violation {
    /// The code of the close frame that says so.
    pub(crate) fn close_code(self) -> u16 {
        if self == Self::Text { 1003 } else { 1002 }
    }
}

impl From<Violation> for io::Error {
    fn from(violation: Violation) -> Self {
        Self::new(io::ErrorKind::InvalidData, violation)
    }
}

/// The peer closed a connection because something was wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer closed with code {code}: {}", escape::remote(.text))]
pub struct ClosedByPeer {
    /// The code of RFC 6455, section 7.4.
    pub code: u16,
    /// What the peer said of it.
    pub text: String,
}

/// An HTTP upgrade that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The connection broke.
    #[error("the connection broke during the upgrade")]
    Io(#[from] io::Error),
    /// The peer's request or response is longer than `max_header_bytes`.
    #[error("the HTTP header is longer than {limit} bytes (`max_header_bytes`)")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The peer closed before its request or response was complete.
    #[error("the connection ended within the HTTP header")]
    Incomplete,
    /// A request that this listener does not serve.
    #[error("a request was answered with {status}: {why}")]
    Rejected {
        /// The answer.
        status: StatusCode,
        /// The reason, as in the body of the answer.
        why: &'static str,
    },
    /// The server answered something other than the upgrade.
    #[error("the server answered {0} instead of 101: no WebSocket is served there")]
    Refused(StatusCode),
    /// The server's answer is no HTTP or no proper upgrade.
    #[error("the server's answer is no WebSocket upgrade")]
    BadResponse(#[source] Box<tungstenite::Error>),
    /// TLS ended before the upgrade.
    #[error("the TLS handshake failed")]
    Tls(#[from] HandshakeError),
    /// The authorities to trust cannot be read.
    #[error("there is nobody to trust for a server's certificate (`roots`)")]
    Roots(#[source] WebError),
    /// The address has a name that cannot be one of a certificate.
    #[error("{} is no name that a certificate can be for", escape::remote(.name))]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// A connection came to a listener that has nothing to present.
    #[error("there is no certificate to listen with (`certificate`)")]
    NoCertificate,
    /// The server chose something that was not offered.
    #[error("the server's answer has the header {0}, which was not asked for")]
    NotAskedFor(&'static str),
}

/// An address that this transport does not serve.
pub(crate) fn unsupported(addr: &Multiaddr) -> TransportError {
    let detail = format!(
        "{addr}: not of the form /ip4|ip6/<address>/tcp/<port>/ws, or with /wss, /tls/ws or /tls/sni/<name>/ws"
    );
    TransportError::new(TransportErrorKind::Unsupported, detail)
}

/// An address with TLS that there is no certificate for.
pub(crate) fn no_certificate(addr: &Multiaddr) -> TransportError {
    let detail = format!(
        "{addr}: a listener with TLS has to present a certificate: set `certificate = \"files\"` with `certificate_file` and \
         `key_file`, or `certificate = \"self_signed\"`"
    );
    TransportError::new(TransportErrorKind::Unconfigured, detail)
}

/// An upgrade that failed.
pub(crate) fn upgrade(addr: &Multiaddr, error: UpgradeError) -> TransportError {
    let kind = match &error {
        UpgradeError::Io(e) | UpgradeError::Tls(HandshakeError::Io(e)) => {
            return TransportError::from_io(addr, clone_of(e)).with_source(error);
        }
        UpgradeError::Incomplete | UpgradeError::Tls(HandshakeError::Ended { .. }) => {
            TransportErrorKind::Reset
        }
        UpgradeError::Roots(_) | UpgradeError::NoCertificate => TransportErrorKind::Unconfigured,
        _ => TransportErrorKind::Handshake,
    };
    TransportError::new(kind, addr.to_string()).with_source(error)
}

/// An error of the same kind, for finding the contract's.
fn clone_of(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// A handshake that took too long.
pub(crate) fn too_slow(addr: &Multiaddr, limit: skep_api::config::DurationText) -> TransportError {
    let detail = format!("{addr}: no upgrade within {limit} (`handshake_timeout`)");
    TransportError::new(TransportErrorKind::TimedOut, detail)
}
