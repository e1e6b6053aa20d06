//! Seals and opens the frames of an established session, in place or from one buffer to another.
//!
//! A frame on the wire is a 2-byte big-endian length, the ciphertext, and the 16-byte tag; the length counts the
//! latter two. Each direction has its key and counts its own frames (Noise specification, section 12.3: the nonce
//! is 4 zero bytes and the count as 8 little-endian bytes).

use crate::error::FrameError;
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    error::Unspecified,
};

/// Length of the prefix that announces a frame, in bytes.
pub(crate) const HEADER_LEN: usize = 2;
/// Length of an authentication tag, in bytes.
pub(crate) const TAG_LEN: usize = 16;
/// Most plaintext that one frame carries, in bytes.
pub(crate) const MAX_PLAIN_LEN: usize = u16::MAX as usize - TAG_LEN;
/// The longest frame on the wire, in bytes.
pub(crate) const MAX_FRAME_LEN: usize = HEADER_LEN + u16::MAX as usize;

/// The nonce of the frame with this number.
pub(crate) fn nonce(count: u64) -> Nonce {
    let mut bytes = [0; 12];
    if let Some(low) = bytes.last_chunk_mut::<8>() {
        *low = count.to_le_bytes();
    }
    Nonce::assume_unique_for_key(bytes)
}

/// The keys of a session, one per direction.
#[derive(Debug)]
pub(crate) struct SessionKeys {
    /// Seals what this node sends.
    pub(crate) sealer: Sealer,
    /// Opens what the peer sends.
    pub(crate) opener: Opener,
}

impl SessionKeys {
    /// From the raw keys, each good for one direction.
    pub(crate) fn new(sending: &[u8; 32], receiving: &[u8; 32]) -> Result<Self, Unspecified> {
        let sealer = Sealer(FrameKey::new(sending)?);
        Ok(Self { sealer, opener: Opener(FrameKey::new(receiving)?) })
    }
}

/// The key of one direction, with the number of its next frame.
#[derive(Debug)]
struct FrameKey {
    key: LessSafeKey,
    next: u64,
}

impl FrameKey {
    fn new(key: &[u8; 32]) -> Result<Self, Unspecified> {
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key)?);
        Ok(Self { key, next: 0 })
    }

    /// The last nonce is reserved by the Noise specification, section 5.1.
    fn nonce(&self) -> Result<Nonce, FrameError> {
        if self.next == u64::MAX { Err(FrameError::Exhausted) } else { Ok(nonce(self.next)) }
    }

    /// Moves on to the next frame; [`FrameKey::nonce`] guards against the overflow.
    fn advance(&mut self) {
        self.next = self.next.saturating_add(1);
    }
}

/// Seals the frames of one direction.
#[derive(Debug)]
pub(crate) struct Sealer(FrameKey);

impl Sealer {
    /// Seals a frame in place: `frame` is room for the header, the plaintext, and room for the tag.
    pub(crate) fn seal_in_place(&mut self, frame: &mut [u8]) -> Result<(), FrameError> {
        let (header, body, tag_out) = parts(frame).ok_or(FrameError::Seal)?;
        let nonce = self.0.nonce()?;
        self.0.advance();
        let tag = self.0.key.seal_in_place_separate_tag(nonce, Aad::empty(), body);
        *header = length(body.len())?;
        tag_out.copy_from_slice(tag.map_err(|_| FrameError::Seal)?.as_ref());
        Ok(())
    }

    /// Seals `plain` into `frame`, which is longer by the header and the tag.
    pub(crate) fn seal_from(&mut self, plain: &[u8], frame: &mut [u8]) -> Result<(), FrameError> {
        let (header, body, tag) = parts(frame).ok_or(FrameError::Seal)?;
        let nonce = self.0.nonce()?;
        self.0.advance();
        *header = length(plain.len())?;
        self.0
            .key
            .seal_out_of_place_scatter(nonce, Aad::empty(), plain, body, &[], tag)
            .map_err(|_| FrameError::Seal)
    }
}

/// Opens the frames of one direction.
#[derive(Debug)]
pub(crate) struct Opener(FrameKey);

impl Opener {
    /// Opens a frame without its header in place; the plaintext is then at its start, shorter by the tag.
    pub(crate) fn open_in_place(&mut self, sealed: &mut [u8]) -> Result<(), FrameError> {
        let len = sealed.len();
        let (body, tag) = sealed.split_last_chunk_mut().ok_or(FrameError::TooShort { len })?;
        let nonce = self.0.nonce()?;
        let opened = self.0.key.open_in_place_separate_tag(nonce, Aad::empty(), tag as &[u8; TAG_LEN], body);
        self.count(opened.is_ok())
    }

    /// Opens a frame without its header into `plain`, which is shorter by the tag. If that fails, `plain` is
    /// zeroed, so that nothing unauthenticated is in it.
    pub(crate) fn open_into(&mut self, sealed: &[u8], plain: &mut [u8]) -> Result<(), FrameError> {
        let len = sealed.len();
        let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(FrameError::TooShort { len })?;
        let nonce = self.0.nonce()?;
        let opened = self.0.key.open_separate_gather(nonce, Aad::empty(), body, tag, plain);
        if opened.is_err() {
            plain.fill(0);
        }
        self.count(opened.is_ok())
    }

    fn count(&mut self, opened: bool) -> Result<(), FrameError> {
        if !opened {
            return Err(FrameError::Decrypt { frame: self.0.next });
        }
        self.0.advance();
        Ok(())
    }
}

/// A frame taken apart: room for the length, the text, room for the tag.
fn parts(frame: &mut [u8]) -> Option<(&mut [u8; HEADER_LEN], &mut [u8], &mut [u8; TAG_LEN])> {
    let (header, rest) = frame.split_first_chunk_mut()?;
    let (body, tag) = rest.split_last_chunk_mut()?;
    Some((header, body, tag))
}

fn length(plain: usize) -> Result<[u8; HEADER_LEN], FrameError> {
    let len = plain.checked_add(TAG_LEN).and_then(|len| u16::try_from(len).ok());
    Ok(len.ok_or(FrameError::Seal)?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Sealer, Opener) {
        let ours = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
        let theirs = SessionKeys::new(&[2; 32], &[1; 32]).unwrap();
        (ours.sealer, theirs.opener)
    }

    #[test]
    fn in_place_and_from_buffer_to_buffer_are_the_same_frames() {
        let (mut a, mut opener) = pair();
        let (mut b, _) = pair();
        let mut in_place = *b"\0\0hello0123456789abcdef";
        let mut copied = [0; 23];
        a.seal_in_place(&mut in_place).unwrap();
        b.seal_from(b"hello", &mut copied).unwrap();
        assert_eq!(in_place, copied);
        assert_eq!(in_place[..2], [0, 21]);

        let mut plain = [0; 5];
        opener.open_into(&copied[2..], &mut plain).unwrap();
        assert_eq!(&plain, b"hello");
        assert_eq!(
            opener.open_in_place(&mut in_place[2..]),
            Err(FrameError::Decrypt { frame: 1 }),
            "replayed"
        );
    }

    #[test]
    fn a_frame_that_fails_leaves_nothing_behind() {
        let (mut sealer, mut opener) = pair();
        let mut frame = *b"\0\0hello0123456789abcdef";
        sealer.seal_in_place(&mut frame).unwrap();
        frame[4] ^= 1;
        let mut plain = *b"12345";
        assert_eq!(opener.open_into(&frame[2..], &mut plain), Err(FrameError::Decrypt { frame: 0 }));
        assert_eq!(plain, [0; 5]);
        assert_eq!(opener.open_in_place(&mut [0; 15]), Err(FrameError::TooShort { len: 15 }));
    }

    #[test]
    fn nonces_are_never_used_twice() {
        let (mut sealer, mut opener) = pair();
        (sealer.0.next, opener.0.next) = (u64::MAX - 1, u64::MAX - 1);
        let mut frame = *b"\0\0hello0123456789abcdef";
        sealer.seal_in_place(&mut frame).unwrap();
        opener.open_in_place(&mut frame[2..]).unwrap();
        assert_eq!(sealer.seal_in_place(&mut frame), Err(FrameError::Exhausted));
        assert_eq!(sealer.seal_from(b"x", &mut [0; 19]), Err(FrameError::Exhausted));
        assert_eq!(opener.open_in_place(&mut frame[2..]), Err(FrameError::Exhausted));
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = SessionKeys::new(&[0xab; 32], &[0xcd; 32]).unwrap();
        let text = format!("{keys:?}").to_lowercase();
        assert!(!text.contains("171, 171") && !text.contains("abab"), "{text}");
        assert!(!text.contains("205, 205") && !text.contains("cdcd"), "{text}");
    }
}
