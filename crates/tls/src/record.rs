//! Seals and opens the records of an established session (RFC 8446, section 5.2), in place or from one buffer to
//! another, without an allocation.
//!
//! A record on the wire is a 5-byte header, the ciphertext, and the 16-byte tag. The plaintext ends in a byte that says
//! what it is, and after that in any number of zeros. Each direction has its key and counts its own records. rustls has
//! done the handshake and derives the keys; it is not asked to seal and open, because it allocates for each record and
//! copies it twice.

use crate::record_error::RecordError;
use aws_lc_rs::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    error::Unspecified,
};
use rustls::ConnectionTrafficSecrets;

/// Length of a record's header, in bytes.
pub(crate) const HEADER_LEN: usize = 5;
/// Length of an authentication tag, in bytes.
pub(crate) const TAG_LEN: usize = 16;
/// Most plaintext that one record carries, in bytes.
pub(crate) const MAX_PLAIN_LEN: usize = 1 << 14;
/// What a record takes beside its plaintext: header, type and tag.
pub(crate) const OVERHEAD: usize = HEADER_LEN + 1 + TAG_LEN;
/// Most bytes that follow a header (RFC 8446, section 5.2), and the longest record on the wire.
pub(crate) const MAX_SEALED_LEN: usize = MAX_PLAIN_LEN + 256;
pub(crate) const MAX_RECORD_LEN: usize = HEADER_LEN + MAX_SEALED_LEN;

/// What a record contains (RFC 8446, section 5.1).
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;

/// Records after which the key of AES-GCM is changed: half of what RFC 8446, section 5.5, allows.
const GCM_LIMIT: u64 = 1 << 23;

/// The key of one direction, with the number of its next record.
#[derive(Debug)]
struct RecordKey {
    key: LessSafeKey,
    iv: [u8; 12],
    next: u64,
    limit: u64,
}

impl RecordKey {
    fn new((next, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Unspecified> {
        let (algorithm, key, iv, limit): (&Algorithm, _, _, _) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv, GCM_LIMIT),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv, GCM_LIMIT),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv, u64::MAX),
            _ => return Err(Unspecified),
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref())?);
        Ok(Self { key, iv: iv.as_ref().try_into().map_err(|_| Unspecified)?, next, limit })
    }

    /// The nonce of the next record: its number, in big-endian, on the initialisation vector.
    fn nonce(&self) -> Nonce {
        let mut nonce = self.iv;
        if let Some(low) = nonce.last_chunk_mut::<8>() {
            *low = (u64::from_be_bytes(*low) ^ self.next).to_be_bytes();
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// Moves on to the next record. A number is never used twice: 2⁶⁴ records are more than anybody sends.
    fn advance(&mut self) {
        self.next = self.next.saturating_add(1);
    }
}

/// Seals the records of one direction.
#[derive(Debug)]
pub(crate) struct Sealer(RecordKey);

impl Sealer {
    pub(crate) fn new(secrets: (u64, ConnectionTrafficSecrets)) -> Result<Self, Unspecified> {
        RecordKey::new(secrets).map(Self)
    }

    /// Whether the key is to be changed before the next record.
    pub(crate) fn is_used_up(&self) -> bool {
        self.0.next >= self.0.limit
    }

    /// Seals a record in place: `record` is room for the header, the plaintext, and room for the type and the tag.
    pub(crate) fn seal_in_place(&mut self, content_type: u8, record: &mut [u8]) -> Result<(), RecordError> {
        let (header_out, rest) = record.split_first_chunk_mut().ok_or(RecordError::Seal)?;
        let (inner, tag_out) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(RecordError::Seal)?;
        *inner.last_mut().ok_or(RecordError::Seal)? = content_type;
        let header = header(inner.len() + TAG_LEN)?;
        let nonce = self.0.nonce();
        self.0.advance();
        let tag = self.0.key.seal_in_place_separate_tag(nonce, Aad::from(header), inner);
        *header_out = header;
        tag_out.copy_from_slice(tag.map_err(|_| RecordError::Seal)?.as_ref());
        Ok(())
    }

    /// Seals `plain` into `record`, which is longer by [`OVERHEAD`].
    pub(crate) fn seal_from(
        &mut self,
        content_type: u8,
        plain: &[u8],
        record: &mut [u8],
    ) -> Result<(), RecordError> {
        let (header_out, rest) = record.split_first_chunk_mut().ok_or(RecordError::Seal)?;
        let (body, type_and_tag) = rest.split_at_mut_checked(plain.len()).ok_or(RecordError::Seal)?;
        let header = header(body.len() + type_and_tag.len())?;
        let nonce = self.0.nonce();
        self.0.advance();
        *header_out = header;
        self.0
            .key
            .seal_out_of_place_scatter(nonce, Aad::from(header), plain, body, &[content_type], type_and_tag)
            .map_err(|_| RecordError::Seal)
    }

    #[cfg(test)]
    pub(crate) fn limit(&mut self, records: u64) {
        self.0.limit = records;
    }
}

/// Opens the records of one direction.
#[derive(Debug)]
pub(crate) struct Opener(RecordKey);

impl Opener {
    pub(crate) fn new(secrets: (u64, ConnectionTrafficSecrets)) -> Result<Self, Unspecified> {
        RecordKey::new(secrets).map(Self)
    }

    /// Opens a record in place, given its header and what follows it, and says what it contains.
    pub(crate) fn open_in_place(
        &mut self,
        header: [u8; HEADER_LEN],
        sealed: &mut [u8],
    ) -> Result<Content, RecordError> {
        let len = sealed.len();
        let (inner, tag) = sealed.split_last_chunk_mut().ok_or(RecordError::TooShort { len })?;
        let nonce = self.0.nonce();
        let tag: &[u8; TAG_LEN] = tag;
        let opened = self.0.key.open_in_place_separate_tag(nonce, Aad::from(header), tag, inner);
        self.count(opened.is_ok())?;
        Content::of(inner)
    }

    /// Opens a record into `inner`, which is shorter by the tag. If that fails, `inner` is zeroed, so that nothing
    /// unauthenticated is in it.
    pub(crate) fn open_into(
        &mut self,
        header: [u8; HEADER_LEN],
        sealed: &[u8],
        inner: &mut [u8],
    ) -> Result<Content, RecordError> {
        let len = sealed.len();
        let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(RecordError::TooShort { len })?;
        let opened = self.0.key.open_separate_gather(self.0.nonce(), Aad::from(header), body, tag, inner);
        if opened.is_err() {
            inner.fill(0);
        }
        self.count(opened.is_ok())?;
        Content::of(inner)
    }

    fn count(&mut self, opened: bool) -> Result<(), RecordError> {
        if !opened {
            return Err(RecordError::Decrypt { record: self.0.next });
        }
        self.0.advance();
        Ok(())
    }
}

/// What an opened record contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) content_type: u8,
    pub(crate) len: usize,
}

impl Content {
    /// Takes off the padding and the type.
    fn of(inner: &[u8]) -> Result<Self, RecordError> {
        let unpadded = inner.iter().rposition(|byte| *byte != 0);
        let len = unpadded.ok_or(RecordError::UnexpectedRecord { content_type: 0 })?;
        if len > MAX_PLAIN_LEN {
            return Err(RecordError::TooLong { len });
        }
        let content_type = inner.get(len).copied().unwrap_or_default();
        Ok(Self { content_type, len })
    }
}

/// The header of a record: outwardly, every one carries data of TLS 1.2.
fn header(sealed_len: usize) -> Result<[u8; HEADER_LEN], RecordError> {
    let len = u16::try_from(sealed_len).map_err(|_| RecordError::Seal)?;
    let [high, low] = len.to_be_bytes();
    Ok([DATA, 3, 3, high, low])
}

/// How many bytes follow this header.
pub(crate) fn sealed_len(header: [u8; HEADER_LEN]) -> Result<usize, RecordError> {
    let [content_type, _, _, high, low] = header;
    if content_type != DATA {
        return Err(RecordError::UnexpectedRecord { content_type });
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    match len {
        0..=TAG_LEN => Err(RecordError::TooShort { len }),
        _ if len > MAX_SEALED_LEN => Err(RecordError::TooLong { len }),
        _ => Ok(len),
    }
}
