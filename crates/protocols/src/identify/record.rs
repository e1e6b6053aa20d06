//! Signed peer records: addresses that a peer vouches for with its key.
//!
//! libp2p specs, RFC 0002 (signed envelopes) and RFC 0003 (routing records).

use prost::Message;
use skep_api::{Keypair, Multiaddr, PeerId, PublicKey, security::MAX_KEY_LEN};
use std::time::{SystemTime, UNIX_EPOCH};
use unsigned_varint::encode;

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

/// Why a peer record does not count.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// The bytes are not those of an envelope or of a record.
    #[error("the record cannot be decoded")]
    Undecodable(#[from] prost::DecodeError),
    /// The envelope holds something else.
    #[error("the envelope holds no peer record")]
    OtherPayload,
    /// The envelope's key is not that of the peer at the other end.
    #[error("the record is signed with the key of another peer")]
    OtherKey,
    /// The signature is wrong.
    #[error("the signature of the record is wrong")]
    BadSignature,
    /// The record is about another peer.
    #[error("the record is about another peer")]
    OtherPeer,
}

/// Signs a record of `addrs`; `None` if the key cannot sign.
pub(super) fn sign(key: &Keypair, seq: u64, addrs: &[Multiaddr]) -> Option<Vec<u8>> {
    let addresses = addrs.iter().map(|addr| AddressInfo { multiaddr: addr.to_vec() }).collect();
    let record = PeerRecord { peer_id: key.public().to_peer_id().to_bytes(), seq, addresses };
    let payload = record.encode_to_vec();
    let envelope = Envelope {
        public_key: key.public().encode_protobuf(),
        payload_type: PEER_RECORD.payload_type.to_vec(),
        signature: key.sign(&signed_bytes(&PEER_RECORD, &payload)).ok()?,
        payload,
    };
    Some(envelope.encode_to_vec())
}

/// Checks a record that the peer with `key` sent about itself: the addresses in it that can be decoded, at
/// most `max_addrs`.
///
/// # Errors
/// [`RecordError`] if anything about the record is not the peer's own.
pub(super) fn verify(bytes: &[u8], key: &PublicKey, max_addrs: usize) -> Result<Vec<Multiaddr>, RecordError> {
    let envelope = Envelope::decode(bytes)?;
    let kind =
        [PEER_RECORD, RUST_PEER_RECORD].into_iter().find(|kind| kind.payload_type == envelope.payload_type);
    let kind = kind.ok_or(RecordError::OtherPayload)?;
    if envelope.public_key.len() > MAX_KEY_LEN
        || PublicKey::try_decode_protobuf(&envelope.public_key).ok().as_ref() != Some(key)
    {
        return Err(RecordError::OtherKey);
    }
    if !key.verify(&signed_bytes(&kind, &envelope.payload), &envelope.signature) {
        return Err(RecordError::BadSignature);
    }
    let record = PeerRecord::decode(envelope.payload.as_slice())?;
    if PeerId::from_bytes(&record.peer_id).ok() != Some(key.to_peer_id()) {
        return Err(RecordError::OtherPeer);
    }
    let addrs = record.addresses.into_iter().filter_map(|info| Multiaddr::try_from(info.multiaddr).ok());
    Ok(addrs.take(max_addrs).collect())
}

/// A number that rises with time, so that a later record replaces an earlier one even after a restart.
pub(super) fn next_seq(last: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    u64::try_from(now).unwrap_or(u64::MAX).max(last.saturating_add(1))
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

    #[test]
    fn an_own_record_is_verified() {
        let key = Keypair::generate_ed25519();
        let bytes = sign(&key, 7, &addrs()).unwrap();
        assert_eq!(verify(&bytes, &key.public(), 100).unwrap(), addrs());
        assert_eq!(verify(&bytes, &key.public(), 1).unwrap(), addrs()[..1]);
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let key = Keypair::ed25519_from_bytes([1; 32]).unwrap();
        let envelope = Envelope::decode(sign(&key, 1, &[]).unwrap().as_slice()).unwrap();
        assert_eq!(envelope.payload_type, [0x03, 0x01]);
        // Field 1: 38 bytes of peer id; field 2: the sequence number.
        assert_eq!(envelope.payload[..4], [0x0a, 38, 0, 36]);
        assert_eq!(envelope.payload[40..], [0x10, 1]);
        let signed = [&[18], b"libp2p-peer-record".as_slice(), &[2, 3, 1, 42], &envelope.payload].concat();
        assert!(key.public().verify(&signed, &envelope.signature));
    }

    #[test]
    fn what_is_not_the_peers_own_is_refused() {
        let (us, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let good = Envelope::decode(sign(&us, 7, &addrs()).unwrap().as_slice()).unwrap();
        let check = |envelope: Envelope| verify(&envelope.encode_to_vec(), &us.public(), 100).unwrap_err();

        let by_other = sign(&other, 7, &addrs()).unwrap();
        assert!(matches!(verify(&by_other, &us.public(), 100), Err(RecordError::OtherKey)));
        let mut forged = Envelope::decode(by_other.as_slice()).unwrap();
        forged.public_key = us.public().encode_protobuf();
        assert!(matches!(check(forged), RecordError::BadSignature));

        let mut changed = good.clone();
        changed.payload.extend([0x10, 99]);
        assert!(matches!(check(changed), RecordError::BadSignature));
        let mut elsewhere = good.clone();
        elsewhere.payload_type = vec![3, 2];
        assert!(matches!(check(elsewhere), RecordError::OtherPayload));
        let mut renamed = good.clone();
        renamed.payload_type = RUST_PEER_RECORD.payload_type.to_vec();
        assert!(matches!(check(renamed), RecordError::BadSignature));
        let mut keyless = good.clone();
        keyless.public_key = vec![8; MAX_KEY_LEN + 1];
        assert!(matches!(check(keyless), RecordError::OtherKey));

        let about_other =
            PeerRecord { peer_id: other.public().to_peer_id().to_bytes(), seq: 1, addresses: vec![] };
        let payload = about_other.encode_to_vec();
        let signature = us.sign(&signed_bytes(&PEER_RECORD, &payload)).unwrap();
        assert!(matches!(check(Envelope { payload, signature, ..good }), RecordError::OtherPeer));
        assert!(matches!(verify(&[0xff; 9], &us.public(), 100), Err(RecordError::Undecodable(_))));
    }

    #[test]
    fn records_of_rust_libp2p_are_read() {
        let key = Keypair::generate_ed25519();
        let record = Envelope::decode(sign(&key, 7, &addrs()).unwrap().as_slice()).unwrap();
        let signature = key.sign(&signed_bytes(&RUST_PEER_RECORD, &record.payload)).unwrap();
        let payload_type = RUST_PEER_RECORD.payload_type.to_vec();
        let bytes = Envelope { payload_type, signature, ..record }.encode_to_vec();
        assert_eq!(verify(&bytes, &key.public(), 100).unwrap(), addrs());
    }

    #[test]
    fn undecodable_addresses_are_skipped() {
        let key = Keypair::generate_ed25519();
        let addresses = [vec![0xff, 0xff], addrs()[0].to_vec(), vec![4, 1]];
        let addresses = addresses.into_iter().map(|multiaddr| AddressInfo { multiaddr }).collect();
        let record = PeerRecord { peer_id: key.public().to_peer_id().to_bytes(), seq: 1, addresses };
        let payload = record.encode_to_vec();
        let signature = key.sign(&signed_bytes(&PEER_RECORD, &payload)).unwrap();
        let payload_type = PEER_RECORD.payload_type.to_vec();
        let envelope =
            Envelope { public_key: key.public().encode_protobuf(), payload_type, payload, signature };
        assert_eq!(verify(&envelope.encode_to_vec(), &key.public(), 100).unwrap(), addrs()[..1]);
    }

    #[test]
    fn sequence_numbers_rise() {
        let first = next_seq(0);
        assert!(next_seq(first) > first);
        assert!(next_seq(u64::MAX - 1) == u64::MAX);
    }
}
