//! What a connection carries, told by its first bytes.

/// What a transport takes from a port that it may share with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whatever none of the other kinds of this port takes.
    Stream,
    /// HTTP/1 requests by `GET`, as WebSocket begins.
    Http,
    /// TLS.
    Tls,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Stream, Self::Http, Self::Tls];

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Stream => 0,
            Self::Http => 1,
            Self::Tls => 2,
        }
    }
}

/// Most bytes that [`guess`] needs.
pub(crate) const LONGEST_START: usize = 4;

const HTTP: &[u8; LONGEST_START] = b"GET ";

/// The kind of a connection that starts so; `None` as long as it can be several.
///
/// TLS is the header of a handshake record (RFC 8446, section 5.1): its type and a version between SSL 3 and TLS 1.3.
/// A stream of random bytes, as in private networks, looks like it once in three million times, and fails then.
pub(crate) fn guess(start: &[u8]) -> Option<Kind> {
    match start {
        [] | [0x16] | [0x16, 0x03] => None,
        [0x16, 0x03, 0..=4, ..] => Some(Kind::Tls),
        _ if start.starts_with(HTTP) => Some(Kind::Http),
        _ if HTTP.starts_with(start) => None,
        _ => Some(Kind::Stream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_as_soon_as_they_are_clear() {
        for (start, kind) in [
            (&b""[..], None),
            (b"G", None),
            (b"GET", None),
            (b"GET ", Some(Kind::Http)),
            (b"GET /", Some(Kind::Http)),
            (b"GEX", Some(Kind::Stream)),
            (b"POST", Some(Kind::Stream)),
            (b"\x16", None),
            (b"\x16\x03", None),
            (b"\x16\x03\x01", Some(Kind::Tls)),
            (b"\x16\x03\x01\x02", Some(Kind::Tls)),
            (b"\x16\x03\x05", Some(Kind::Stream)),
            (b"\x16\x04", Some(Kind::Stream)),
            (b"\x13", Some(Kind::Stream)),
            (b"\x13/mu", Some(Kind::Stream)),
        ] {
            assert_eq!(guess(start), kind, "{start:?}");
        }
        assert_eq!(Kind::ALL.map(Kind::index), [0, 1, 2]);
    }
}
