//! What a bad peer bends, and the proofs that it shows instead of a good one.

use skep::api::{Keypair, PeerId};

/// The one thing that a bad peer does other than an honest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bend {
    /// None: it is honest.
    Nothing,
    /// It shows no proof where one is due.
    NoProof,
    /// Its signature is empty.
    EmptySignature,
    /// One bit of its signature is another.
    FlippedBit,
    /// The signature is that of another key than the one it shows.
    SignedByAnother,
    /// It has signed another key than the one that it uses on this channel.
    AnotherChannelKey,
    /// It shows the key of an honest third peer, and signs with its own.
    ThirdParty,
    /// It proves who it is, and that is not the peer that the other end wants.
    OwnNameInstead,
    /// It shows what an honest third peer has shown to it.
    Replayed,
    /// Its identity key is an RSA key of 16,384 bits.
    OversizedRsa,
    /// It sends no certificate.
    NoCertificate,
    /// It sends its certificate twice.
    TwoCertificates,
    /// Its certificate is valid no longer.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is signed by another key than the certificate's own.
    CertifiedByAnother,
    /// Its certificate has the extension of an honest third peer's.
    ReplayedExtension,
}

impl Bend {
    /// Whether a third peer has to show its proof first.
    pub(crate) fn needs_recording(self) -> bool {
        matches!(self, Self::Replayed | Self::ReplayedExtension)
    }
}

/// What vouches for the key of a channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof {
    /// The identity key in its protobuf form.
    pub(crate) key: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// Who a bad peer is.
#[derive(Clone, Debug)]
pub(crate) struct Guise {
    pub(crate) bend: Bend,
    /// Its own key.
    pub(crate) own: Keypair,
    /// The key of an honest peer, of which it knows the public half only: that alone is used.
    pub(crate) third: Keypair,
    /// What that peer has shown to it.
    pub(crate) recorded: Vec<u8>,
}

impl Guise {
    /// Whom a dialler would expect at its address, if anybody.
    pub(crate) fn claimed(&self) -> Option<PeerId> {
        match self.bend {
            // There is nobody with such a key.
            Bend::OversizedRsa => None,
            Bend::ThirdParty | Bend::OwnNameInstead | Bend::Replayed | Bend::ReplayedExtension => {
                Some(self.third.public().to_peer_id())
            }
            _ => Some(self.own.public().to_peer_id()),
        }
    }

    /// The proof that it shows for the key `channel` of a channel; `prefix` is what the protocol signs before it.
    pub(crate) fn proof(&self, prefix: &[u8], channel: &[u8]) -> Proof {
        let sign = |signer: &Keypair, channel: &[u8]| signer.sign(&[prefix, channel].concat()).unwrap();
        let mut proof =
            Proof { key: self.own.public().encode_protobuf(), signature: sign(&self.own, channel) };
        match self.bend {
            Bend::NoProof => proof = Proof::default(),
            Bend::EmptySignature => proof.signature.clear(),
            Bend::FlippedBit => proof.signature[11] ^= 4,
            Bend::SignedByAnother => proof.signature = sign(&Keypair::generate_ed25519(), channel),
            Bend::AnotherChannelKey => {
                let mut another = channel.to_vec();
                *another.last_mut().unwrap() ^= 1;
                proof.signature = sign(&self.own, &another);
            }
            Bend::ThirdParty => proof.key = self.third.public().encode_protobuf(),
            Bend::OversizedRsa => proof = Proof { key: oversized_rsa(), signature: vec![1; 2048] },
            // They are bent elsewhere.
            _ => {}
        }
        proof
    }
}

/// A key that is well formed but for its size: a `PublicKey` of protobuf around a `SubjectPublicKeyInfo` of DER.
fn oversized_rsa() -> Vec<u8> {
    const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let mut modulus = vec![0xa5; 2049];
    modulus[0] = 0;
    let numbers = [element(0x02, &modulus), element(0x02, &[1, 0, 1])].concat();
    let bits = [&[0], &element(0x30, &numbers)[..]].concat();
    let spki = element(0x30, &[RSA, &element(0x03, &bits)].concat());
    [&[0x08, 0x00][..], &field(2, &spki)].concat()
}

/// An element of DER.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(content.len()).unwrap().to_be_bytes() {
        [0, short] if short < 0x80 => vec![short],
        [0, long] => vec![0x81, long],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag], &length[..], content].concat()
}

/// A field of bytes in protobuf.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    [&field, bytes].concat()
}
