//! Frames of RFC 6455, section 5: which headers are right, and what control frames say.

use crate::{error::Violation, mask::Mask};
use std::io::Cursor;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// Longest header, in bytes.
pub(crate) const MAX_HEADER: usize = 14;
/// Longest payload of a control frame, in bytes.
pub(crate) const MAX_CONTROL: usize = 125;

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Masks what it sends.
    Client,
    /// Gets masked frames.
    Server,
}

/// What a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) carries: Carries,
    /// Bytes of payload.
    pub(crate) len: u64,
    pub(crate) mask: Option<Mask>,
    /// Bytes of the header itself.
    pub(crate) size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Bytes of the stream.
    Data {
        /// Whether more frames of the message follow. It matters to what may follow only.
        unfinished: bool,
    },
    Ping,
    Pong,
    Close,
}

/// Reads the header at the start of `bytes`; `None` if it is not all there.
pub(crate) fn parse(bytes: &[u8], us: Role, in_message: bool) -> Result<Option<Header>, Violation> {
    let mut cursor = Cursor::new(bytes);
    let parsed = FrameHeader::parse(&mut cursor);
    // The only way to fail is a reserved code.
    let parsed = parsed.map_err(|_| Violation::Opcode(bytes.first().map_or(0, |byte| byte & 0x0f)))?;
    let Some((header, len)) = parsed else { return Ok(None) };
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(Violation::ReservedBits);
    }
    if len > u64::MAX >> 1 {
        return Err(Violation::Length);
    }
    match (us, header.mask) {
        (Role::Server, None) => return Err(Violation::Unmasked),
        (Role::Client, Some(_)) => return Err(Violation::Masked),
        _ => {}
    }
    let carries = match header.opcode {
        OpCode::Data(data) => data_frame(data, header.is_final, in_message)?,
        OpCode::Control(control) => control_frame(control, header.is_final, len)?,
    };
    let size = usize::try_from(cursor.position()).unwrap_or(MAX_HEADER);
    Ok(Some(Header { carries, len, mask: header.mask.map(Mask), size }))
}

fn data_frame(data: Data, is_final: bool, in_message: bool) -> Result<Carries, Violation> {
    match (data, in_message) {
        (Data::Binary, false) | (Data::Continue, true) => Ok(Carries::Data { unfinished: !is_final }),
        (Data::Text, false) => Err(Violation::Text),
        (Data::Continue, false) => Err(Violation::LoneContinuation),
        (Data::Binary | Data::Text, true) => Err(Violation::BrokenMessage),
        (Data::Reserved(code), _) => Err(Violation::Opcode(code)),
    }
}

fn control_frame(control: Control, is_final: bool, len: u64) -> Result<Carries, Violation> {
    if !is_final {
        return Err(Violation::FragmentedControl);
    }
    if len > MAX_CONTROL as u64 {
        return Err(Violation::LongControl);
    }
    match control {
        Control::Ping => Ok(Carries::Ping),
        Control::Pong => Ok(Carries::Pong),
        Control::Close => Ok(Carries::Close),
        Control::Reserved(code) => Err(Violation::Opcode(code)),
    }
}

/// Why an end closes: the code of RFC 6455, section 7.4, if it gave one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CloseReason {
    pub(crate) code: Option<u16>,
    pub(crate) text: String,
}

impl CloseReason {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const GOING_AWAY: u16 = 1001;

    /// Reads the payload of a close frame.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Violation> {
        let Some((code, text)) = payload.split_first_chunk() else {
            let code = None;
            return if payload.is_empty() {
                Ok(Self { code, text: String::new() })
            } else {
                Err(Violation::Close)
            };
        };
        let code = u16::from_be_bytes(*code);
        // 1004 to 1006 and 1015 are never sent; below 3000 the others are not assigned.
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(Violation::Close);
        }
        let text = std::str::from_utf8(text).map_err(|_| Violation::Close)?;
        Ok(Self { code: Some(code), text: text.into() })
    }

    /// Whether a peer that says so ends as it should, rather than because something is wrong.
    pub(crate) fn is_orderly(code: u16) -> bool {
        matches!(code, Self::NORMAL | Self::GOING_AWAY)
    }
}

/// Writes a header in front of nothing: `op` and length, and the mask if there is one.
pub(crate) fn header(opcode: OpCode, len: usize, mask: Option<Mask>) -> Vec<u8> {
    let header = FrameHeader { opcode, mask: mask.map(|mask| mask.0), ..FrameHeader::default() };
    let mut bytes = Vec::with_capacity(MAX_HEADER);
    // Writing to memory does not fail.
    let _ = header.format(len as u64, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(bytes: &[u8]) -> Result<Option<Header>, Violation> {
        parse(bytes, Role::Server, false)
    }

    #[test]
    fn headers_are_read_in_all_three_lengths() {
        let data = |len, size| {
            let mask = Some(Mask([1, 2, 3, 4]));
            Ok(Some(Header { carries: Carries::Data { unfinished: false }, len, mask, size }))
        };
        assert_eq!(server(&[0x82, 0x83, 1, 2, 3, 4, 9]), data(3, 6));
        assert_eq!(server(&[0x82, 0xfe, 0x12, 0x34, 1, 2, 3, 4]), data(0x1234, 8));
        assert_eq!(server(&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]), data(1 << 32, 14));
        for len in 0..14 {
            assert_eq!(server(&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4][..len]), Ok(None), "{len}");
        }
    }

    #[test]
    fn what_the_specification_forbids_is_told() {
        let mask = [0, 0, 0, 0];
        for (start, violation) in [
            (&[0x82, 0x00][..], Violation::Unmasked),
            (&[0xc2, 0x80], Violation::ReservedBits),
            (&[0x83, 0x80], Violation::Opcode(3)),
            (&[0x8b, 0x80], Violation::Opcode(11)),
            (&[0x81, 0x80], Violation::Text),
            (&[0x80, 0x80], Violation::LoneContinuation),
            (&[0x09, 0x80], Violation::FragmentedControl),
            (&[0x89, 0xfe, 0, 126], Violation::LongControl),
            (&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::Length),
        ] {
            assert_eq!(server(&[start, &mask].concat()), Err(violation), "{start:02x?}");
        }
        assert_eq!(parse(&[0x82, 0x80, 0, 0, 0, 0], Role::Server, true), Err(Violation::BrokenMessage));
        assert_eq!(parse(&[0x82, 0x80, 0, 0, 0, 0], Role::Client, false), Err(Violation::Masked));
    }

    #[test]
    fn close_reasons_are_read() {
        let reason = CloseReason::parse(b"\x03\xe8bye").unwrap();
        assert_eq!((reason.code, &*reason.text), (Some(1000), "bye"));
        assert_eq!(CloseReason::parse(b"").unwrap().code, None);
        for bad in [&b"\x03"[..], b"\x03\xed", b"\x00\x00", b"\x13\x88", b"\x03\xe8\xff"] {
            assert_eq!(CloseReason::parse(bad), Err(Violation::Close), "{bad:02x?}");
        }
    }
}
