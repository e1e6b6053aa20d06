//! Who this node is in every handshake: its static key, and the proof that its identity key vouches for it.

use crate::{
    payload::HandshakePayload,
    primitives::{KEY_LEN, KeyPair, Primitives},
};
use prost::Message;
use skep_api::{Keypair, error::BoxError, security::Role};
use snow::{Builder, HandshakeState, params::NoiseParams};
use std::{fmt, sync::Arc};

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
const SIGNED_PREFIX: &[u8] = b"noise-libp2p-static-key:";

/// What one instance of the plugin computes once for all its handshakes.
pub(crate) struct Identity {
    params: NoiseParams,
    primitives: Primitives,
    /// A handshake payload without extensions, encoded.
    proof: Vec<u8>,
}

impl Identity {
    /// Makes a static key and signs it.
    pub(crate) fn new(keypair: &Keypair) -> Result<Self, BoxError> {
        let static_key = KeyPair::generate()?;
        let proof = HandshakePayload {
            identity_key: keypair.public().encode_protobuf(),
            identity_sig: keypair.sign(&signed_message(static_key.public()))?,
            extensions: None,
        };
        Ok(Self {
            params: PATTERN.parse()?,
            primitives: Primitives { static_key: Arc::new(static_key) },
            proof: proof.encode_to_vec(),
        })
    }

    /// The payload that proves this identity and offers these muxers.
    pub(crate) fn payload(&self, muxers: &[String]) -> Vec<u8> {
        let mut payload = self.proof.clone();
        payload.extend(HandshakePayload::offer(muxers).encode_to_vec());
        payload
    }

    /// The state of a new handshake.
    pub(crate) fn start(&self, role: Role) -> Result<HandshakeState, snow::Error> {
        let resolver = Box::new(self.primitives.clone());
        // The primitives know the static key; what is passed here only makes `snow` ask them for it.
        let builder = Builder::with_resolver(self.params.clone(), resolver).local_private_key(&[])?;
        match role {
            Role::Dialer => builder.build_initiator(),
            Role::Listener => builder.build_responder(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What an identity key signs to vouch for a static key.
pub(crate) fn signed_message(static_key: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(SIGNED_PREFIX.len() + KEY_LEN);
    message.extend_from_slice(SIGNED_PREFIX);
    message.extend_from_slice(static_key);
    message
}
