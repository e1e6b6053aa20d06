//! Peers that lie, break off, or change what passes, in either role.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

mod handshake;
mod identity;
mod peer;

use skep_api::{
    BoxIo, ConfigSection, PeerId,
    security::{Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Upgrader, Verifier},
};
use skep_security_tls::PLUGIN;
use std::sync::Arc;

const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

type Outcome = Result<Secured<BoxIo>, SecurityError>;

/// An instance of the plugin with its defaults and a fresh identity.
fn tls() -> Arc<dyn Upgrader> {
    (PLUGIN.build)(&ConfigSection::empty("security.tls"), &skep_testkit::build_cx()).unwrap()
}

fn cx(role: Role, expected: Option<PeerId>, muxers: &[&str]) -> SecureCx {
    SecureCx::new(role, Verifier::new(expected), muxers.iter().map(|m| (*m).to_string()).collect())
}

fn kind(outcome: Outcome) -> SecurityErrorKind {
    outcome.map(|secured| secured.verified().peer()).unwrap_err().kind()
}
