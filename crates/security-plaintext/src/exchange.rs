//! The message that both ends send (libp2p specs, plaintext/README.md, "Messages").

use prost::Message;
use skep_api::{
    PeerId, PublicKey,
    error::chain,
    security::{SecurityError, SecurityErrorKind},
};

/// Who a peer says it is.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Exchange {
    /// The peer id, as a multihash.
    #[prost(bytes = "vec", optional, tag = "1")]
    id: Option<Vec<u8>>,
    /// The public key. The specification has a message here, which is the same on the wire.
    #[prost(bytes = "vec", optional, tag = "2")]
    pubkey: Option<Vec<u8>>,
}

impl Exchange {
    /// What a node with this key says.
    pub(crate) fn of(key: &PublicKey) -> Self {
        Self { id: Some(key.to_peer_id().to_bytes()), pubkey: Some(key.encode_protobuf()) }
    }

    /// Reads a message of the peer.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SecurityError> {
        Self::decode(bytes)
            .map_err(|e| malformed("its exchange is not the protobuf it should be").with_source(e))
    }

    /// The key, encoded, and the id that the peer claims to have by it.
    pub(crate) fn claim(&self) -> Result<(&[u8], PeerId), SecurityError> {
        let (Some(id), Some(key)) = (&self.id, &self.pubkey) else {
            let missing = if self.id.is_none() { "peer id" } else { "public key" };
            return Err(malformed(&format!("its exchange has no {missing}")));
        };
        let id = PeerId::from_bytes(id)
            .map_err(|e| malformed(&format!("its exchange has no valid peer id: {}", chain(&e))))?;
        Ok((key, id))
    }
}

/// The peer's message is wrong.
pub(crate) fn malformed(what: &str) -> SecurityError {
    SecurityError::new(SecurityErrorKind::Malformed, what)
}
