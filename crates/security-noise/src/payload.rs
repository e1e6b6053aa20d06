//! What a handshake message carries (libp2p specs, noise/README.md, "libp2p data in handshake messages").

use prost::Message;

/// Muxers of a peer's list that are looked at, and the length of each name; more is left out of account.
const MAX_MUXERS: usize = 32;
const MAX_MUXER_LEN: usize = 64;

/// The proof of an identity, and extensions.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HandshakePayload {
    /// The identity key in its protobuf form.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) identity_key: Vec<u8>,
    /// Its signature over the static key of the handshake.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) identity_sig: Vec<u8>,
    /// What else the two ends settle within the handshake.
    #[prost(message, optional, tag = "4")]
    pub(crate) extensions: Option<Extensions>,
}

/// Extensions. Field 1, the certificate hashes of WebTransport, does not concern streams and is skipped.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Extensions {
    /// Muxers, best first.
    #[prost(string, repeated, tag = "2")]
    pub(crate) stream_muxers: Vec<String>,
}

impl HandshakePayload {
    /// A payload that offers muxers and nothing else; empty for none, since an empty extension says nothing.
    ///
    /// Encoded messages that follow each other are one message to protobuf, so this goes behind the proof.
    pub(crate) fn offer(muxers: &[String]) -> Self {
        let extensions = (!muxers.is_empty()).then(|| Extensions { stream_muxers: muxers.to_vec() });
        Self { extensions, ..Self::default() }
    }

    /// The muxers that the peer offers, within bounds.
    pub(crate) fn muxers(&mut self) -> Vec<String> {
        let mut muxers = self.extensions.take().unwrap_or_default().stream_muxers;
        muxers.truncate(MAX_MUXERS);
        muxers.retain(|muxer| muxer.len() <= MAX_MUXER_LEN);
        muxers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_string()).collect()
    }

    #[test]
    fn the_proof_and_the_offer_are_one_message_on_the_wire() {
        let proof = HandshakePayload { identity_key: vec![1, 2], identity_sig: vec![3], extensions: None };
        let mut bytes = proof.encode_to_vec();
        bytes.extend(HandshakePayload::offer(&names(&["/yamux/1.0.0"])).encode_to_vec());
        // Field 1: 2 bytes; field 2: 1 byte; field 4: a message of 14 bytes with field 2 of 12 bytes.
        assert_eq!(bytes, b"\x0a\x02\x01\x02\x12\x01\x03\x22\x0e\x12\x0c/yamux/1.0.0");

        let mut decoded = HandshakePayload::decode(&bytes[..]).unwrap();
        assert_eq!(decoded.muxers(), names(&["/yamux/1.0.0"]));
        assert_eq!(decoded, proof);
        assert!(HandshakePayload::offer(&[]).encode_to_vec().is_empty());
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Field 4 with certificate hashes (field 1) and an unknown field 9; then an unknown field 15.
        let bytes = b"\x22\x0b\x0a\x02ab\x4a\x01x\x12\x02/y\x7a\x01z";
        assert_eq!(HandshakePayload::decode(&bytes[..]).unwrap().muxers(), names(&["/y"]));
    }

    #[test]
    fn lists_are_bounded() {
        let long = "x".repeat(MAX_MUXER_LEN + 1);
        let mut list = names(&[&long, "/a"]);
        list.extend(vec!["/b".to_string(); 100]);
        let muxers = HandshakePayload::offer(&list).muxers();
        assert_eq!(muxers.len(), MAX_MUXERS - 1);
        assert_eq!(muxers[0], "/a");
    }
}
