//! The header of a yamux frame (yamux spec, "Framing").

use std::fmt;

/// The length of a header, in bytes.
pub(crate) const HEADER: usize = 12;

/// Opens a stream.
pub(crate) const SYN: u16 = 1;
/// Answers an opening or a ping.
pub(crate) const ACK: u16 = 2;
/// Ends one direction of a stream.
pub(crate) const FIN: u16 = 4;
/// Ends a stream at once.
pub(crate) const RST: u16 = 8;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes of a stream; the only frame with a body.
    Data,
    /// More credit for a stream.
    WindowUpdate,
    /// Is the other side there?
    Ping,
    /// The connection ends.
    GoAway,
}

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: u16,
    pub(crate) stream: u32,
    /// Length of the body, credit, ping id or code, depending on the kind.
    pub(crate) len: u32,
}

/// Why twelve bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    Version(u8),
    Kind(u8),
}

impl Header {
    pub(crate) fn decode(bytes: [u8; HEADER]) -> Result<Self, NoHeader> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        if version != 0 {
            return Err(NoHeader::Version(version));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            other => return Err(NoHeader::Kind(other)),
        };
        Ok(Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            len: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    pub(crate) fn encode(self) -> [u8; HEADER] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let [f0, f1] = self.flags.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.len.to_be_bytes();
        [0, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }

    /// A reset with a code (libp2p specs pull request 623: the code rides in the length of a window update).
    pub(crate) fn reset(stream: u32, code: u32) -> Self {
        Self { kind: Kind::WindowUpdate, flags: RST, stream, len: code }
    }

    /// The end of the connection with a code.
    pub(crate) fn go_away(code: u32) -> Self {
        Self { kind: Kind::GoAway, flags: 0, stream: 0, len: code }
    }

    /// More credit for a stream.
    pub(crate) fn credit(stream: u32, bytes: u32) -> Self {
        Self { kind: Kind::WindowUpdate, flags: 0, stream, len: bytes }
    }

    /// A question that the peer answers.
    pub(crate) fn ping(value: u32) -> Self {
        Self { kind: Kind::Ping, flags: SYN, stream: 0, len: value }
    }

    /// The answer to a ping.
    pub(crate) fn pong(value: u32) -> Self {
        Self { kind: Kind::Ping, flags: ACK, stream: 0, len: value }
    }

    pub(crate) fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// How many bytes follow the header.
    pub(crate) fn body(self) -> u32 {
        if self.kind == Kind::Data { self.len } else { 0 }
    }
}

impl fmt::Display for NoHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "a frame of yamux version {version}, only 0 is known"),
            Self::Kind(kind) => write!(f, "a frame of the unknown type {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_encoding() {
        let header = Header { kind: Kind::Data, flags: SYN | FIN, stream: 0x0102_0304, len: 0x0506_0708 };
        let bytes = header.encode();
        assert_eq!(bytes, [0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(Header::decode(bytes), Ok(header));
    }

    #[test]
    fn other_versions_and_types_are_refused() {
        assert_eq!(Header::decode([1; HEADER]), Err(NoHeader::Version(1)));
        assert_eq!(Header::decode([0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(NoHeader::Kind(4)));
    }
}
