//! The message of identify, and what is believed of it.

use prost::Message;
use skep_api::{
    Multiaddr, PublicKey,
    multiaddr::Protocol,
    protocol::{PeerInfo, ProtocolError, ProtocolErrorKind, Session},
    record::SignedRecord,
    security::MAX_KEY_LEN,
};

/// Most protocols that are kept of a peer.
pub(super) const MAX_PROTOCOLS: usize = 256;
/// Most addresses that are kept of a peer.
pub(super) const MAX_ADDRS: usize = 100;
/// Longest text that is kept, in bytes: a protocol id, a version.
pub(super) const MAX_TEXT: usize = 256;

/// libp2p specs, identify/README.md.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Identify {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) public_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) listen_addrs: Vec<Vec<u8>>,
    #[prost(string, repeated, tag = "3")]
    pub(super) protocols: Vec<String>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) observed_addr: Option<Vec<u8>>,
    #[prost(string, optional, tag = "5")]
    pub(super) protocol_version: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub(super) agent_version: Option<String>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(super) signed_peer_record: Option<Vec<u8>>,
}

impl Identify {
    /// What of the message is believed, when it came over `session`.
    ///
    /// The session proved who the peer is, so a message with another key is refused. A peer record that is
    /// not the peer's own is left out: an honest peer can be handed a bad one, and the rest of the message
    /// stands.
    ///
    /// # Errors
    /// [`ProtocolErrorKind::Malformed`] for a key that is not that of the peer.
    pub(super) fn into_info(self, session: &dyn Session) -> Result<PeerInfo, ProtocolError> {
        let key = session.peer_key();
        if let Some(claimed) = &self.public_key {
            check_key(claimed, &key)?;
        }
        let record = self.signed_peer_record.and_then(|bytes| {
            let record = SignedRecord::verify(bytes);
            let record = record.inspect_err(|error| tracing::debug!(%error, "a peer record is no such"));
            record.ok().filter(|record| *record.key() == key)
        });
        let peer = key.to_peer_id();
        let not_anothers =
            |addr: &Multiaddr| !matches!(addr.iter().last(), Some(Protocol::P2p(id)) if id != peer);
        let addrs = self.listen_addrs.into_iter().filter_map(|bytes| Multiaddr::try_from(bytes).ok());
        Ok(PeerInfo {
            agent_version: shortened(self.agent_version.unwrap_or_default()),
            protocol_version: shortened(self.protocol_version.unwrap_or_default()),
            protocols: self
                .protocols
                .into_iter()
                .filter(|p| p.len() <= MAX_TEXT)
                .take(MAX_PROTOCOLS)
                .collect(),
            listen_addrs: addrs.filter(not_anothers).take(MAX_ADDRS).collect(),
            observed_addr: self.observed_addr.and_then(|bytes| Multiaddr::try_from(bytes).ok()),
            record,
            ..PeerInfo::default()
        })
    }
}

/// Whether the claimed key is the one that the peer proved to hold.
fn check_key(claimed: &[u8], proved: &PublicKey) -> Result<(), ProtocolError> {
    let malformed = |detail| ProtocolError::new(ProtocolErrorKind::Malformed, detail);
    if claimed.len() > MAX_KEY_LEN {
        return Err(malformed("the public key is oversized"));
    }
    match PublicKey::try_decode_protobuf(claimed) {
        Ok(key) if key == *proved => Ok(()),
        Ok(_) => Err(malformed("the public key is not that of the connection")),
        Err(e) => Err(malformed("the public key").with_source(e)),
    }
}

/// The longest beginning of `text` that is not too long.
fn shortened(mut text: String) -> String {
    let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text
}
