//! Peers that lie, break off, or change what passes, against a peer built on other primitives.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

mod frames;
mod handshake;
mod peer;

use peer::Peer;
use skep_api::{
    BoxIo, ConfigSection, PeerId,
    security::{Role, SecureCx, Secured, SecurityError, Upgrader, Verifier},
};
use skep_security_noise::PLUGIN;
use std::sync::Arc;
use tokio::io::{DuplexStream, duplex};

type Outcome = Result<Secured<BoxIo>, SecurityError>;

/// An instance of the plugin with its defaults and a fresh identity.
fn noise() -> Arc<dyn Upgrader> {
    (PLUGIN.build)(&ConfigSection::empty("security.noise"), &skep_testkit::build_cx()).unwrap()
}

fn cx(role: Role, expected: Option<PeerId>, muxers: &[&str]) -> SecureCx {
    SecureCx::new(role, Verifier::new(expected), muxers.iter().map(|m| (*m).to_string()).collect())
}

fn other(role: Role) -> Role {
    match role {
        Role::Dialer => Role::Listener,
        Role::Listener => Role::Dialer,
    }
}

fn wire() -> (BoxIo, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    (Box::new(ours), theirs)
}

/// The plugin in `role` against a peer that runs `script`.
async fn against<F: Future>(role: Role, script: impl FnOnce(Peer) -> F) -> (Outcome, F::Output) {
    let (io, theirs) = wire();
    let noise = noise();
    let script = script(Peer::new(other(role), theirs));
    tokio::join!(noise.secure(io, cx(role, None, &[])), script)
}
