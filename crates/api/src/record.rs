//! Signed peer records: addresses that a peer vouches for with its key.
//!
//! libp2p specs, RFC 0002 (signed envelopes) and RFC 0003 (routing records).

use crate::{Keypair, Multiaddr, PeerId, PublicKey, security::MAX_KEY_LEN};
use prost::Message;
use std::time::{SystemTime, UNIX_EPOCH};
use unsigned_varint::encode;

/// Most addresses that are taken out of a record; the others are left out.
pub const MAX_RECORD_ADDRS: usize = 100;

/// A peer record whose signature is right and which is about the peer that signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord {
    key: PublicKey,
    seq: u64,
    addrs: Vec<Multiaddr>,
    envelope: Vec<u8>,
}

impl SignedRecord {
    /// Signs a record of `addrs`; `None` if the key cannot sign.
    #[must_use]
    pub fn sign(key: &Keypair, seq: u64, addrs: &[Multiaddr]) -> Option<Self> {
        let addresses = addrs.iter().map(|addr| AddressInfo { multiaddr: addr.to_vec() }).collect();
        let record = PeerRecord { peer_id: key.public().to_peer_id().to_bytes(), seq, addresses };
        let payload = record.encode_to_vec();
        let envelope = Envelope {
            public_key: key.public().encode_protobuf(),
            payload_type: PEER_RECORD.payload_type.to_vec(),
            signature: key.sign(&signed_bytes(&PEER_RECORD, &payload)).ok()?,
            payload,
        };
        Some(Self { key: key.public(), seq, addrs: addrs.to_vec(), envelope: envelope.encode_to_vec() })
    }

    /// Checks the bytes of an envelope. Addresses in it that cannot be decoded are left out.
    ///
    /// Whether the record is that of a certain peer is for the caller to ask ([`SignedRecord::key`]).
    ///
    /// # Errors
    /// [`RecordError`] if anything about it is not of the peer that signed it.
    pub fn verify(envelope: Vec<u8>) -> Result<Self, RecordError> {
        let parts = Envelope::decode(envelope.as_slice())?;
        let kind = [PEER_RECORD, RUST_PEER_RECORD].into_iter().find(|k| k.payload_type == parts.payload_type);
        let kind = kind.ok_or(RecordError::OtherPayload)?;
        if parts.public_key.len() > MAX_KEY_LEN {
            return Err(RecordError::BadKey);
        }
        let key = PublicKey::try_decode_protobuf(&parts.public_key).map_err(|_| RecordError::BadKey)?;
        if !key.verify(&signed_bytes(&kind, &parts.payload), &parts.signature) {
            return Err(RecordError::BadSignature);
        }
        let record = PeerRecord::decode(parts.payload.as_slice())?;
        if PeerId::from_bytes(&record.peer_id).ok() != Some(key.to_peer_id()) {
            return Err(RecordError::OtherPeer);
        }
        let addrs = record.addresses.into_iter().filter_map(|info| Multiaddr::try_from(info.multiaddr).ok());
        Ok(Self { key, seq: record.seq, addrs: addrs.take(MAX_RECORD_ADDRS).collect(), envelope })
    }

    /// The key that signed it.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The peer that signed it and that it is about.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.key.to_peer_id()
    }

    /// Of two records of a peer the one with the higher number is the newer.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The addresses, as the peer wrote them.
    #[must_use]
    pub fn addrs(&self) -> &[Multiaddr] {
        &self.addrs
    }

    /// The bytes of the envelope, for sending and storing.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }
}

/// Why a peer record does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes are not those of an envelope or of a record.
    #[error("the record cannot be decoded")]
    Undecodable(#[from] prost::DecodeError),
    /// The envelope holds something else.
    #[error("the envelope holds no peer record")]
    OtherPayload,
    /// The envelope's key is none.
    #[error("the key of the record cannot be used")]
    BadKey,
    /// The signature is wrong.
    #[error("the signature of the record is wrong")]
    BadSignature,
    /// The record is about another peer than the one that signed it.
    #[error("the record is about another peer")]
    OtherPeer,
}

/// A number that rises with time, so that a later record replaces an earlier one even after a restart.
#[must_use]
pub fn next_seq(last: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    u64::try_from(now).unwrap_or(u64::MAX).max(last.saturating_add(1))
}

/// What is signed, and under which names.
struct Kind {
    domain: &'static str,
    payload_type: &'static [u8],
}

/// The peer record of the specification: multicodec 0x0301.
const PEER_RECORD: Kind = Kind { domain: "libp2p-peer-record", payload_type: &[0x03, 0x01] };
/// What rust-libp2p up to 0.57 sends instead. It is read, and not written.
const RUST_PEER_RECORD: Kind =
    Kind { domain: "libp2p-routing-state", payload_type: b"/libp2p/routing-state-record" };

#[derive(Clone, PartialEq, Eq, Message)]
struct Envelope {
    #[prost(bytes = "vec", tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    payload_type: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    payload: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct PeerRecord {
    #[prost(bytes = "vec", tag = "1")]
    peer_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(message, repeated, tag = "3")]
    addresses: Vec<AddressInfo>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct AddressInfo {
    #[prost(bytes = "vec", tag = "1")]
    multiaddr: Vec<u8>,
}

/// Domain, payload type and payload, each behind its length.
fn signed_bytes(kind: &Kind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len().saturating_add(64));
    for part in [kind.domain.as_bytes(), kind.payload_type, payload] {
        out.extend_from_slice(encode::usize(part.len(), &mut encode::usize_buffer()));
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs() -> Vec<Multiaddr> {
        vec!["/ip4/192.0.2.1/tcp/4001".parse().unwrap(), "/ip6/2001:db8::1/udp/1/quic-v1".parse().unwrap()]
    }

    /// A record about `about`, signed by `key`, with these addresses as bytes.
    fn signed(key: &Keypair, about: &Keypair, kind: &Kind, addresses: Vec<Vec<u8>>) -> Envelope {
        let addresses = addresses.into_iter().map(|multiaddr| AddressInfo { multiaddr }).collect();
        let record = PeerRecord { peer_id: about.public().to_peer_id().to_bytes(), seq: 7, addresses };
        let payload = record.encode_to_vec();
        Envelope {
            public_key: key.public().encode_protobuf(),
            payload_type: kind.payload_type.to_vec(),
            signature: key.sign(&signed_bytes(kind, &payload)).unwrap(),
            payload,
        }
    }

    fn verify(envelope: &Envelope) -> Result<SignedRecord, RecordError> {
        SignedRecord::verify(envelope.encode_to_vec())
    }

    #[test]
    fn an_own_record_is_verified() {
        let key = Keypair::generate_ed25519();
        let ours = SignedRecord::sign(&key, 7, &addrs()).unwrap();
        let read = SignedRecord::verify(ours.envelope().to_vec()).unwrap();
        assert_eq!(read, ours);
        assert_eq!((read.peer(), read.seq(), read.addrs()), (key.public().to_peer_id(), 7, &addrs()[..]));
        let many: Vec<_> =
            (0..200_u16).map(|port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()).collect();
        let many = SignedRecord::sign(&key, 8, &many).unwrap();
        let read = SignedRecord::verify(many.envelope().to_vec()).unwrap();
        assert_eq!(read.addrs().len(), MAX_RECORD_ADDRS);
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let key = Keypair::ed25519_from_bytes([1; 32]).unwrap();
        let envelope = Envelope::decode(SignedRecord::sign(&key, 1, &[]).unwrap().envelope()).unwrap();
        assert_eq!(envelope.payload_type, [0x03, 0x01]);
        // Field 1: 38 bytes of peer id; field 2: the sequence number.
        assert_eq!(envelope.payload[..4], [0x0a, 38, 0, 36]);
        assert_eq!(envelope.payload[40..], [0x10, 1]);
        let signed = [&[18], b"libp2p-peer-record".as_slice(), &[2, 3, 1, 42], &envelope.payload].concat();
        assert!(key.public().verify(&signed, &envelope.signature));
    }

    #[test]
    fn what_is_not_the_signers_own_is_refused() {
        let (us, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let good = signed(&us, &us, &PEER_RECORD, vec![]);
        assert!(verify(&good).is_ok());

        let by_other = signed(&other, &us, &PEER_RECORD, vec![]);
        assert!(matches!(verify(&by_other), Err(RecordError::OtherPeer)));
        let forged = Envelope { public_key: us.public().encode_protobuf(), ..by_other };
        assert!(matches!(verify(&forged), Err(RecordError::BadSignature)));
        let mut changed = good.clone();
        changed.payload.extend([0x10, 99]);
        assert!(matches!(verify(&changed), Err(RecordError::BadSignature)));
        let elsewhere = Envelope { payload_type: vec![3, 2], ..good.clone() };
        assert!(matches!(verify(&elsewhere), Err(RecordError::OtherPayload)));
        let renamed = Envelope { payload_type: RUST_PEER_RECORD.payload_type.to_vec(), ..good.clone() };
        assert!(matches!(verify(&renamed), Err(RecordError::BadSignature)));
        let keyless = Envelope { public_key: vec![8; MAX_KEY_LEN + 1], ..good };
        assert!(matches!(verify(&keyless), Err(RecordError::BadKey)));
        assert!(matches!(SignedRecord::verify(vec![0xff; 9]), Err(RecordError::Undecodable(_))));
    }

    #[test]
    fn records_of_rust_libp2p_are_read() {
        let key = Keypair::generate_ed25519();
        let bytes = addrs().iter().map(Multiaddr::to_vec).collect();
        assert_eq!(verify(&signed(&key, &key, &RUST_PEER_RECORD, bytes)).unwrap().addrs(), addrs());
    }

    #[test]
    fn undecodable_addresses_are_skipped() {
        let key = Keypair::generate_ed25519();
        let bytes = vec![vec![0xff, 0xff], addrs()[0].to_vec(), vec![4, 1]];
        assert_eq!(verify(&signed(&key, &key, &PEER_RECORD, bytes)).unwrap().addrs(), &addrs()[..1]);
    }

    #[test]
    fn sequence_numbers_rise() {
        let first = next_seq(0);
        assert!(next_seq(first) > first);
        assert!(next_seq(u64::MAX - 1) == u64::MAX);
    }
}
