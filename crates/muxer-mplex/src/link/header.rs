//! The header of a frame: which stream, what of it, and how many bytes follow.
//!
//! On the wire it is two unsigned varints: `id << 3 | flag`, and the length (libp2p specs, mplex/README.md). The flag
//! also says which end opened the stream, for both ends give the same numbers.

use std::fmt;
use unsigned_varint::{decode, encode};

/// Longest varint of 64 bits.
const MAX_VARINT: usize = 10;

/// Longest header.
const MAX_HEADER: usize = 2 * MAX_VARINT;

/// Most bytes of a frame's body. The specification leaves it to agreement; all implementations take up to this.
pub(crate) const MAX_BODY: u32 = 1024 * 1024;

/// A stream of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) number: u64,
    /// This end opened it.
    pub(crate) ours: bool,
}

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Message,
    Close,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) key: Key,
    /// Bytes of the body.
    pub(crate) len: u32,
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Collects the bytes of a header.
#[derive(Debug)]
pub(crate) struct HeaderReader {
    bytes: [u8; MAX_VARINT],
    filled: usize,
    /// The first number, once it is complete.
    first: Option<u64>,
}

impl Key {
    /// One number for both kinds of streams: even for those that this end opened.
    pub(crate) fn id(self) -> u64 {
        self.number.wrapping_shl(1) | u64::from(!self.ours)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (opened by {})", self.number, if self.ours { "this node" } else { "the peer" })
    }
}

impl Header {
    pub(crate) fn new(kind: Kind, key: Key) -> Self {
        Self { kind, key, len: 0 }
    }

    /// As a frame with this number, flag and length that goes this way.
    fn decode(first: u64, len: u64, way: Way) -> Result<Self, String> {
        let (number, flag) = (first >> 3, first & 7);
        let by_initiator = flag % 2 == 0;
        let kind = match flag {
            0 => Kind::Open,
            1 | 2 => Kind::Message,
            3 | 4 => Kind::Close,
            5 | 6 => Kind::Reset,
            _ => return Err(format!("a frame with the unknown flag {flag}")),
        };
        let key = Key { number, ours: by_initiator == (way == Way::Out) };
        match u32::try_from(len) {
            Ok(len) if len <= MAX_BODY => Ok(Self { kind, key, len }),
            _ => Err(format!("a frame of {len} bytes, at most {MAX_BODY} are allowed")),
        }
    }

    /// The bytes of a header that goes this way.
    pub(crate) fn encode(self, way: Way) -> Encoded {
        let by_initiator = self.key.ours == (way == Way::Out);
        let flag = match self.kind {
            Kind::Open => 0,
            Kind::Message => 1,
            Kind::Close => 3,
            Kind::Reset => 5,
        };
        let flag = if self.kind == Kind::Open { 0 } else { flag + u64::from(by_initiator) };
        let (mut first, mut second) = (encode::u64_buffer(), encode::u32_buffer());
        let first = encode::u64(self.key.number.wrapping_shl(3) | flag, &mut first);
        let second = encode::u32(self.len, &mut second);
        let mut encoded = Encoded { bytes: [0; MAX_HEADER], len: 0 };
        for (to, from) in encoded.bytes.iter_mut().zip(first.iter().chain(second)) {
            *to = *from;
        }
        encoded.len = first.len().saturating_add(second.len());
        encoded
    }
}

/// A header in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

impl Encoded {
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl HeaderReader {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; MAX_VARINT], filled: 0, first: None }
    }

    /// Whether a header has begun.
    pub(crate) fn is_inside(&self) -> bool {
        self.filled > 0 || self.first.is_some()
    }

    /// Takes the next byte; gives the header with its last one.
    pub(crate) fn push(&mut self, byte: u8, way: Way) -> Result<Option<Header>, String> {
        if let Some(place) = self.bytes.get_mut(self.filled) {
            *place = byte;
        }
        self.filled = self.filled.saturating_add(1).min(MAX_VARINT);
        if !decode::is_last(byte) && self.filled < MAX_VARINT {
            return Ok(None);
        }
        let bytes = self.bytes.get(..self.filled).unwrap_or_default();
        let (number, _) = decode::u64(bytes).map_err(|e| format!("a malformed number ({e})"))?;
        self.filled = 0;
        match self.first.take() {
            Some(first) => Header::decode(first, number, way).map(Some),
            None => {
                self.first = Some(number);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], way: Way) -> Result<Option<Header>, String> {
        let mut reader = HeaderReader::new();
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(header) = reader.push(*byte, way)? {
                assert_eq!(at + 1, bytes.len(), "bytes are left over");
                assert!(!reader.is_inside());
                return Ok(Some(header));
            }
            assert!(reader.is_inside());
        }
        Ok(None)
    }

    #[test]
    fn flags_are_those_of_the_specification() {
        let cases = [
            (Kind::Open, true, 0),
            (Kind::Message, false, 1),
            (Kind::Message, true, 2),
            (Kind::Close, false, 3),
            (Kind::Close, true, 4),
            (Kind::Reset, false, 5),
            (Kind::Reset, true, 6),
        ];
        for (kind, ours, flag) in cases {
            let header = Header::new(kind, Key { number: 7, ours });
            assert_eq!(header.encode(Way::Out).as_slice(), [7 << 3 | flag, 0]);
            // At the other end it is the peer's stream that is ours here.
            let seen = read(&[7 << 3 | flag, 0], Way::In).unwrap().unwrap();
            assert_eq!((seen.kind, seen.key), (kind, Key { number: 7, ours: !ours }));
        }
    }

    #[test]
    fn headers_survive_the_way_there_and_back() {
        for number in [0, 1, 15, 16, 300, u64::from(u32::MAX), (1 << 61) - 1] {
            for len in [0, 1, 127, 128, MAX_BODY] {
                for way in [Way::In, Way::Out] {
                    let header = Header { kind: Kind::Message, key: Key { number, ours: true }, len };
                    assert_eq!(read(header.encode(way).as_slice(), way), Ok(Some(header)));
                }
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert_eq!(read(&[7, 0], Way::In), Err("a frame with the unknown flag 7".into()));
        let huge = [&[2][..], encode::u64(1 << 63, &mut encode::u64_buffer())].concat();
        let expected = "a frame of 9223372036854775808 bytes, at most 1048576 are allowed";
        assert_eq!(read(&huge, Way::In), Err(expected.into()));
        assert!(read(&[0xff; 11], Way::In).unwrap_err().starts_with("a malformed number"));
        assert!(read(&[0x80, 0x00], Way::In).unwrap_err().starts_with("a malformed number"), "not minimal");
        assert_eq!(read(&[0x80], Way::In), Ok(None));
    }

    #[test]
    fn ids_differ_by_who_opened() {
        assert_eq!((Key { number: 3, ours: true }.id(), Key { number: 3, ours: false }.id()), (6, 7));
    }
}
