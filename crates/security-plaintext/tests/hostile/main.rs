//! Peers that lie, break off, or send what is no exchange; and the bytes that pass on the wire.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

mod lies;
mod wire;

use skep_api::{
    BoxIo, ConfigSection, Keypair, PeerId, PublicKey,
    security::{Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Upgrader, Verifier},
};
use skep_security_plaintext::PLUGIN;
use skep_testkit::{DuplexConfig, build_cx_with, duplex};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

type Outcome = Result<Secured<BoxIo>, SecurityError>;

const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

/// An instance of the plugin for this key.
fn plaintext(key: Keypair) -> Arc<dyn Upgrader> {
    (PLUGIN.build)(&ConfigSection::empty("security.plaintext"), &build_cx_with(key)).unwrap()
}

/// The operator has agreed.
fn cx(role: Role, expected: Option<PeerId>) -> SecureCx {
    SecureCx::new(role, Verifier::new(expected).allowing_insecure(), Vec::new())
}

/// A field of bytes in protobuf.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    field.extend(varint(bytes.len()));
    field.extend(bytes);
    field
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(u8::try_from(number % 128).unwrap() | 0x80);
        number /= 128;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// A message with its length in front.
fn framed(message: &[u8]) -> Vec<u8> {
    [varint(message.len()), message.to_vec()].concat()
}

/// What an honest peer with this key sends, written down by hand.
fn exchange(key: &PublicKey) -> Vec<u8> {
    framed(&[field(1, &key.to_peer_id().to_bytes()), field(2, &key.encode_protobuf())].concat())
}

/// What the plugin says of a peer that sends this, and then ends.
async fn against(role: Role, cx: SecureCx, bytes: &[u8]) -> Outcome {
    let (io, mut peer) = duplex(DuplexConfig::default());
    peer.write_all(bytes).await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(cx.role, role);
    plaintext(Keypair::generate_ed25519()).secure(io, cx).await
}

fn kind(outcome: Outcome) -> SecurityErrorKind {
    outcome.map(|secured| secured.verified().peer()).unwrap_err().kind()
}
