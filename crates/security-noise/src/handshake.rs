//! The three messages of Noise XX.
//!
//! ```text
//! dialler                                             listener
//!    1.  ephemeral key                                  →
//!    2.                  ←  ephemeral key, static key, proof
//!    3.  static key, proof                              →
//! ```
//!
//! The dialler checks the listener's proof before it makes message 3, which says who it is; message 3 then waits
//! for the first data to go along with.

use crate::{
    cipher::{HEADER_LEN, SessionKeys, TAG_LEN},
    error::noise_error,
    identity::{Identity, signed_message},
    message::Messages,
    payload::HandshakePayload,
    primitives::KEY_LEN,
};
use prost::Message;
use skep_api::{
    BoxIo,
    security::{Evidence, Role, SecureCx, SecurityError, SecurityErrorKind, Verified},
};
use snow::HandshakeState;

/// What a message takes beside its payload: the length in front, two keys, and two tags.
const MESSAGE_OVERHEAD: usize = HEADER_LEN + 2 * KEY_LEN + 2 * TAG_LEN;

/// A handshake that is done.
pub(crate) struct Finished {
    /// The stream below.
    pub(crate) io: BoxIo,
    /// The keys of the session.
    pub(crate) keys: SessionKeys,
    /// Who the peer is.
    pub(crate) verified: Verified,
    /// The muxer that both ends settled on.
    pub(crate) early_muxer: Option<String>,
    /// The muxers that the peer said it has.
    pub(crate) peer_muxers: Vec<String>,
    /// The last message, if this side has still to send it.
    pub(crate) unsent: Vec<u8>,
    /// What arrived behind the handshake.
    pub(crate) surplus: Vec<u8>,
}

/// Runs the handshake for either side.
pub(crate) async fn run(identity: &Identity, io: BoxIo, cx: SecureCx) -> Result<Finished, SecurityError> {
    let role = cx.role;
    let state = identity.start(role).map_err(|e| noise_error(0, e))?;
    let mut handshake = Handshake { state, messages: Messages::new(io) };
    let payload = identity.payload(&cx.muxers);
    let (peer, unsent) = match role {
        Role::Dialer => {
            handshake.send(1, &[]).await?;
            let theirs = handshake.receive(2).await?;
            let peer = handshake.judge(2, &theirs, cx)?;
            (peer, handshake.write(3, &payload)?)
        }
        Role::Listener => {
            handshake.receive(1).await?;
            handshake.send(2, &payload).await?;
            let theirs = handshake.receive(3).await?;
            (handshake.judge(3, &theirs, cx)?, Vec::new())
        }
    };
    handshake.finish(role, peer, unsent)
}

struct Handshake {
    state: HandshakeState,
    messages: Messages,
}

/// A peer that proved who it is, and the muxer to use with it.
struct Peer {
    verified: Verified,
    early_muxer: Option<String>,
    peer_muxers: Vec<String>,
}

impl Handshake {
    /// Makes message `number`, its length in front.
    fn write(&mut self, number: u8, payload: &[u8]) -> Result<Vec<u8>, SecurityError> {
        let mut framed = vec![0; MESSAGE_OVERHEAD + payload.len()];
        let (header, message) = framed.split_first_chunk_mut().ok_or_else(|| internal(number))?;
        let len = self.state.write_message(payload, message).map_err(|e| noise_error(number, e))?;
        *header = u16::try_from(len).map_err(|_| internal(number))?.to_be_bytes();
        framed.truncate(HEADER_LEN + len);
        Ok(framed)
    }

    async fn send(&mut self, number: u8, payload: &[u8]) -> Result<(), SecurityError> {
        let framed = self.write(number, payload)?;
        self.messages.send(number, &framed).await
    }

    /// Receives message `number` and returns its payload, decrypted.
    async fn receive(&mut self, number: u8) -> Result<Vec<u8>, SecurityError> {
        let message = self.messages.receive(number).await?;
        let mut payload = vec![0; message.len()];
        let len = self.state.read_message(message, &mut payload).map_err(|e| noise_error(number, e))?;
        payload.truncate(len);
        Ok(payload)
    }

    /// Checks the proof in the peer's payload, which came in message `number`.
    fn judge(&self, number: u8, payload: &[u8], cx: SecureCx) -> Result<Peer, SecurityError> {
        let mut payload = HandshakePayload::decode(payload).map_err(|e| {
            let detail =
                format!("the payload of handshake message {number} is not the protobuf it should be");
            SecurityError::new(SecurityErrorKind::Malformed, detail).with_source(e)
        })?;
        let static_key = self.state.get_remote_static().ok_or_else(|| internal(number))?;
        let peer_muxers = payload.muxers();
        let early_muxer = cx.agree_on_muxer(&peer_muxers);
        let verified = cx.verifier.verify(Evidence {
            identity_key: &payload.identity_key,
            message: &signed_message(static_key),
            signature: &payload.identity_sig,
        })?;
        Ok(Peer { verified, early_muxer, peer_muxers })
    }

    fn finish(mut self, role: Role, peer: Peer, unsent: Vec<u8>) -> Result<Finished, SecurityError> {
        // The first key is that of the initiator's messages (Noise specification, section 5.2, `Split`).
        let (of_dialer, of_listener) = self.state.dangerously_get_raw_split();
        let keys = match role {
            Role::Dialer => SessionKeys::new(&of_dialer, &of_listener),
            Role::Listener => SessionKeys::new(&of_listener, &of_dialer),
        };
        let keys = keys.map_err(|e| internal(3).with_source(e))?;
        let (io, surplus) = self.messages.into_parts();
        let Peer { verified, early_muxer, peer_muxers } = peer;
        Ok(Finished { io, keys, verified, early_muxer, peer_muxers, unsent, surplus })
    }
}

fn internal(number: u8) -> SecurityError {
    SecurityError::new(SecurityErrorKind::Internal, format!("handshake message {number}"))
}
