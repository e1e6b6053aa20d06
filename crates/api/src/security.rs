//! Security upgrades: from a byte stream to a peer that proved who it is.

use crate::{BoxIo, PeerId, PublicKey, error::layer_error};
use async_trait::async_trait;
use std::fmt::Debug;

/// Longest encoded public key that is looked at, in bytes. An RSA key of 8192 bits takes about 1.1 KiB; larger
/// ones only burn time (CVE-2023-39533).
pub const MAX_KEY_LEN: usize = 2048;

/// Turns a byte stream into an authenticated and encrypted one.
///
/// # Obligations
///
/// * S1. `secure` returns only after the peer proved that it holds the private key of its identity; the proof
///   passes through [`SecureCx::verifier`], for nothing else makes a [`Secured`].
/// * S2. Both ends fail when the dialler expected another peer: the dialler before its last message.
/// * S3. A truncated, changed or replayed message ends in an error, during the handshake and after it; nothing
///   that was not authenticated reaches the reader.
/// * S4. No plaintext byte is written to the stream below.
/// * S5. The peer's claims are bounded before they are stored: no length from the wire is allocated unchecked.
/// * S6. The stream returned may still hold unsent handshake bytes; its first flush sends them.
/// * S7. The end of one direction reaches the other side as the end of file, not as an error, and an end of file
///   inside a message is an error.
/// * S8. Dropping the future closes the stream.
#[async_trait]
pub trait Upgrader: Debug + Send + Sync + 'static {
    /// The multistream-select id, such as `/noise`.
    fn protocol(&self) -> &str;

    /// Whether it proves or hides nothing, and so needs the operator's consent (`[swarm] allow_insecure`).
    fn insecure(&self) -> bool {
        false
    }

    /// Whether this machine's processor runs its ciphers at full speed. In the order of a built-in profile those that are
    /// not at full speed come after those that are; an order that an operator has written stays.
    fn at_full_speed(&self) -> bool {
        true
    }

    /// Runs the handshake. The caller bounds it in time by dropping the future.
    ///
    /// # Errors
    /// [`SecurityError`]; the stream is gone then.
    async fn secure(&self, io: BoxIo, cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError>;
}

/// Which side of a handshake this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The one that connected.
    Dialer,
    /// The one that was connected to.
    Listener,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dialer => "outbound",
            Self::Listener => "inbound",
        })
    }
}

/// What a handshake needs to know.
#[derive(Debug)]
#[non_exhaustive]
pub struct SecureCx {
    /// This node's side.
    pub role: Role,
    /// Checks the peer's proof; used up by it.
    pub verifier: Verifier,
    /// Muxers that this node offers, best first, for negotiation within the handshake.
    pub muxers: Vec<String>,
}

impl SecureCx {
    /// A context for one handshake.
    #[must_use]
    pub fn new(role: Role, verifier: Verifier, muxers: Vec<String>) -> Self {
        Self { role, verifier, muxers }
    }

    /// The muxer that both ends take when the peer offers `theirs`: the first of the dialler's list that the
    /// listener has too (libp2p specs, connections/inlined-muxer-negotiation.md).
    #[must_use]
    pub fn agree_on_muxer(&self, theirs: &[String]) -> Option<String> {
        let (first, second) = match self.role {
            Role::Dialer => (self.muxers.as_slice(), theirs),
            Role::Listener => (theirs, self.muxers.as_slice()),
        };
        first.iter().find(|muxer| second.contains(muxer)).cloned()
    }
}

/// Binds a peer's key to its proof and to the peer id that was expected.
///
/// Only this type makes a [`Verified`], so a security plugin cannot report success without evidence.
#[derive(Debug)]
pub struct Verifier {
    expected: Option<PeerId>,
    allow_insecure: bool,
}

/// What a peer presents to prove its identity.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The identity key in its protobuf form (libp2p specs, peer-ids).
    pub identity_key: &'a [u8],
    /// The message that the key signed: a prefix of the security protocol and the channel's own key.
    pub message: &'a [u8],
    /// The signature over the message.
    pub signature: &'a [u8],
}

impl Verifier {
    /// Expects this peer, or any if `None`.
    #[must_use]
    pub fn new(expected: Option<PeerId>) -> Self {
        Self { expected, allow_insecure: false }
    }

    /// The same, with the operator's consent to peers that prove nothing. The framework asks the profile for it.
    #[must_use]
    pub fn allowing_insecure(mut self) -> Self {
        self.allow_insecure = true;
        self
    }

    /// Who has to answer; anybody if `None`.
    #[must_use]
    pub fn expected(&self) -> Option<PeerId> {
        self.expected
    }

    /// Checks the evidence: the key is well formed and not oversized, it signed the message, and it is the key
    /// of the expected peer.
    ///
    /// # Errors
    /// [`SecurityErrorKind::BadIdentity`], [`SecurityErrorKind::BadSignature`], [`SecurityErrorKind::WrongPeer`].
    pub fn verify(self, evidence: Evidence<'_>) -> Result<Verified, SecurityError> {
        let key = read_key(evidence.identity_key)?;
        if !key.verify(evidence.message, evidence.signature) {
            let detail = format!("claimed to be {}", key.to_peer_id());
            return Err(SecurityError::new(SecurityErrorKind::BadSignature, detail));
        }
        self.accept(key)
    }

    /// Takes a peer's word for who it is. For upgrades that are [`Upgrader::insecure`] alone.
    ///
    /// # Errors
    /// [`SecurityErrorKind::InsecureRefused`] without the operator's consent, [`SecurityErrorKind::BadIdentity`],
    /// [`SecurityErrorKind::WrongPeer`].
    pub fn take_word(self, identity_key: &[u8]) -> Result<Verified, SecurityError> {
        if !self.allow_insecure {
            return Err(SecurityError::new(SecurityErrorKind::InsecureRefused, ""));
        }
        let key = read_key(identity_key)?;
        self.accept(key)
    }

    fn accept(self, key: PublicKey) -> Result<Verified, SecurityError> {
        let peer = key.to_peer_id();
        match self.expected {
            Some(expected) if expected != peer => {
                let detail = format!("expected {expected}, found {peer}");
                Err(SecurityError::new(SecurityErrorKind::WrongPeer, detail))
            }
            _ => Ok(Verified { peer, key }),
        }
    }
}

fn read_key(bytes: &[u8]) -> Result<PublicKey, SecurityError> {
    if bytes.len() > MAX_KEY_LEN {
        let detail = format!("{} bytes, at most {MAX_KEY_LEN}", bytes.len());
        return Err(SecurityError::new(SecurityErrorKind::BadIdentity, detail));
    }
    PublicKey::try_decode_protobuf(bytes)
        .map_err(|e| SecurityError::new(SecurityErrorKind::BadIdentity, "not a public key").with_source(e))
}

/// Proof that a peer holds the key of its peer id. Made by [`Verifier`] alone.
#[derive(Clone, Debug)]
pub struct Verified {
    peer: PeerId,
    key: PublicKey,
}

impl Verified {
    /// Who the peer is.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The peer's public key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// Something that belongs to an authenticated peer.
#[derive(Debug)]
pub struct Secured<T> {
    inner: T,
    verified: Verified,
    early_muxer: Option<String>,
    peer_muxers: Vec<String>,
}

impl<T> Secured<T> {
    /// Joins a channel with the proof made over it.
    #[must_use]
    pub fn new(verified: Verified, inner: T) -> Self {
        Self { inner, verified, early_muxer: None, peer_muxers: Vec::new() }
    }

    /// Notes the muxer that both ends agreed on within the handshake.
    #[must_use]
    pub fn with_early_muxer(mut self, muxer: Option<String>) -> Self {
        self.early_muxer = muxer;
        self
    }

    /// Notes the muxers that the peer said it has, within the handshake. With none in common the connection is given up,
    /// rather than another negotiation tried.
    #[must_use]
    pub fn with_peer_muxers(mut self, muxers: Vec<String>) -> Self {
        self.peer_muxers = muxers;
        self
    }

    /// Who the peer is.
    #[must_use]
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The muxer agreed on within the handshake.
    #[must_use]
    pub fn early_muxer(&self) -> Option<&str> {
        self.early_muxer.as_deref()
    }

    /// The muxers that the peer said it has; none if it did not say.
    #[must_use]
    pub fn peer_muxers(&self) -> &[String] {
        &self.peer_muxers
    }

    /// Takes the channel and the proof apart.
    #[must_use]
    pub fn into_parts(self) -> (T, Verified, Option<String>) {
        (self.inner, self.verified, self.early_muxer)
    }
}

layer_error! {
    /// A security upgrade that failed.
    SecurityError,
    /// What went wrong in a handshake.
    SecurityErrorKind {
        /// The two ends have no security protocol in common.
        NoCommonProtocol => "no_common_security", Remote, Permanent, "no security protocol in common",
            "link and list a security plugin that the peer has (`[stack] security`)";
        /// The bytes are not those of the protocol.
        Malformed => "malformed_handshake", Remote, Permanent, "the peer's handshake is malformed",
            "check that the address is that of a libp2p node";
        /// A message could not be authenticated.
        Decrypt => "decrypt", Remote, Permanent, "a message of the peer could not be authenticated",
            "something on the way changes bytes, or the peer is broken";
        /// The identity key is unusable.
        BadIdentity => "bad_identity", Remote, Permanent, "the peer's identity key is unusable",
            "the peer uses a key type or size that is not supported";
        /// The proof is wrong.
        BadSignature => "bad_signature", Remote, Permanent, "the peer did not prove its identity",
            "do not trust this address: whoever answers is not who it claims to be";
        /// Somebody else answered.
        WrongPeer => "wrong_peer", Remote, Permanent, "another peer answered",
            "the address is stale or names the wrong peer id; ask for the peer's current address";
        /// The protocol proves nothing, and nobody allowed that.
        InsecureRefused => "insecure_refused", Local, Permanent, "the protocol does not prove who the peer is",
            "leave it out; in a test network set `[swarm] allow_insecure = true`";
        /// The stream broke.
        Io => "security_io", Network, Soon, "the connection broke during the handshake",
            "the peer closed it: it may be full, refuse this node, or expect another peer id";
        /// This node cannot do it.
        Internal => "security_internal", Local, Permanent, "this node could not run the handshake",
            "please report this";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keypair;

    fn kind(result: Result<Verified, SecurityError>) -> SecurityErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn only_the_right_key_over_the_right_message_is_verified() {
        let (us, them) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let key = them.public().encode_protobuf();
        let signature = them.sign(b"prefix:channel").unwrap();
        let good = Evidence { identity_key: &key, message: b"prefix:channel", signature: &signature };

        let verified = Verifier::new(Some(them.public().to_peer_id())).verify(good).unwrap();
        assert_eq!(verified.peer(), them.public().to_peer_id());
        assert!(Verifier::new(None).verify(good).is_ok());

        let other = Verifier::new(Some(us.public().to_peer_id()));
        assert_eq!(kind(other.verify(good)), SecurityErrorKind::WrongPeer);
        let message = Evidence { message: b"prefix:another", ..good };
        assert_eq!(kind(Verifier::new(None).verify(message)), SecurityErrorKind::BadSignature);
        let empty = Evidence { signature: b"", ..good };
        assert_eq!(kind(Verifier::new(None).verify(empty)), SecurityErrorKind::BadSignature);
        let by_us = us.sign(b"prefix:channel").unwrap();
        let foreign = Evidence { signature: &by_us, ..good };
        assert_eq!(kind(Verifier::new(None).verify(foreign)), SecurityErrorKind::BadSignature);
        let junk = Evidence { identity_key: b"junk", ..good };
        assert_eq!(kind(Verifier::new(None).verify(junk)), SecurityErrorKind::BadIdentity);
        let huge = vec![0; MAX_KEY_LEN + 1];
        let oversized = Evidence { identity_key: &huge, ..good };
        assert_eq!(kind(Verifier::new(None).verify(oversized)), SecurityErrorKind::BadIdentity);
    }

    #[test]
    fn a_peer_is_taken_at_its_word_only_with_consent() {
        let them = Keypair::generate_ed25519().public();
        let key = them.encode_protobuf();
        assert_eq!(kind(Verifier::new(None).take_word(&key)), SecurityErrorKind::InsecureRefused);
        let allowing = |expected| Verifier::new(expected).allowing_insecure();
        assert_eq!(allowing(None).take_word(&key).unwrap().peer(), them.to_peer_id());
        assert_eq!(kind(allowing(Some(PeerId::random())).take_word(&key)), SecurityErrorKind::WrongPeer);
        assert_eq!(kind(allowing(None).take_word(b"junk")), SecurityErrorKind::BadIdentity);
    }

    #[test]
    fn the_dialers_order_decides_on_the_muxer() {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_string()).collect::<Vec<_>>();
        let dialer = SecureCx::new(Role::Dialer, Verifier::new(None), list(&["a", "b"]));
        let listener = SecureCx::new(Role::Listener, Verifier::new(None), list(&["b", "a"]));
        assert_eq!(dialer.agree_on_muxer(&listener.muxers).as_deref(), Some("a"));
        assert_eq!(listener.agree_on_muxer(&dialer.muxers).as_deref(), Some("a"));
        assert_eq!(listener.agree_on_muxer(&list(&["c"])), None);
    }
}
