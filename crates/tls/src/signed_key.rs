//! The libp2p extension of a certificate (libp2p specs, tls/tls.md): `SEQUENCE { OCTET STRING key, OCTET STRING
//! signature }`, in DER.

/// The object identifier of the extension.
pub(crate) const OID: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];
/// The same, in the form in which it stands in a certificate.
pub(crate) const OID_DER: &[u8] = b"\x2b\x06\x01\x04\x01\x83\xa2\x5a\x01\x01";

/// What stands before the certificate's key in the message that the identity key signs.
const SIGNED_PREFIX: &[u8] = b"libp2p-tls-handshake:";

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// An identity key, and its signature over the certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignedKey<'a> {
    /// The identity key in its protobuf form.
    pub(crate) identity_key: &'a [u8],
    /// The signature over [`signed_message`].
    pub(crate) signature: &'a [u8],
}

impl<'a> SignedKey<'a> {
    /// The value of the extension.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = element(OCTET_STRING, self.identity_key);
        fields.extend(element(OCTET_STRING, self.signature));
        element(SEQUENCE, &fields)
    }

    /// Reads the value of the extension; none if it is anything else, or more.
    pub(crate) fn decode(value: &'a [u8]) -> Option<Self> {
        let (fields, rest) = take(SEQUENCE, value)?;
        let (identity_key, fields) = take(OCTET_STRING, fields)?;
        let (signature, fields) = take(OCTET_STRING, fields)?;
        (rest.is_empty() && fields.is_empty()).then_some(Self { identity_key, signature })
    }
}

/// The message that an identity key signs to vouch for a certificate's key, a `SubjectPublicKeyInfo`.
pub(crate) fn signed_message(certificate_key: &[u8]) -> Vec<u8> {
    [SIGNED_PREFIX, certificate_key].concat()
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let len = content.len().to_be_bytes();
    let significant: Vec<u8> = len.into_iter().skip_while(|byte| *byte == 0).collect();
    match significant.as_slice() {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

/// The content of the element with this tag at the start, and what follows it.
fn take(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = input.strip_prefix(&[tag])?;
    let (len, rest) = match rest {
        [short, rest @ ..] if *short < 0x80 => (usize::from(*short), rest),
        // DER wants the shortest form.
        [0x81, len, rest @ ..] if *len >= 0x80 => (usize::from(*len), rest),
        [0x82, high, low, rest @ ..] if *high > 0 => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_at_every_size_of_length() {
        for len in [0, 1, 127, 128, 255, 256, 70, 2048] {
            let (key, signature) = (vec![7; len], vec![9; 300]);
            let signed = SignedKey { identity_key: &key, signature: &signature };
            let value = signed.encode();
            assert_eq!(SignedKey::decode(&value), Some(signed));
            for cut in 0..value.len() {
                assert_eq!(SignedKey::decode(&value[..cut]), None);
            }
            assert_eq!(SignedKey::decode(&[&value[..], b"x"].concat()), None);
        }
    }

    #[test]
    fn the_known_form_is_that_of_the_specification() {
        let signed = SignedKey { identity_key: b"k", signature: b"sig" };
        assert_eq!(signed.encode(), b"\x30\x08\x04\x01k\x04\x03sig");
        for wrong in [
            &b"\x31\x08\x04\x01k\x04\x03sig"[..],     // a set
            b"\x30\x08\x03\x01k\x04\x03sig",          // a bit string
            b"\x30\x81\x08\x04\x01k\x04\x03sig",      // a length longer than needed
            b"\x30\x0b\x04\x01k\x04\x03sig\x04\x01x", // a third field
            b"\x30\x80\x04\x01k\x04\x03sig\x00\x00",  // a length that is not definite
        ] {
            assert_eq!(SignedKey::decode(wrong), None, "{wrong:x?}");
        }
    }
}
