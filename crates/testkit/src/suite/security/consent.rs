//! The operator's consent to peers that prove nothing.

use super::{Fixture, shaken::Node};
use crate::{
    duplex::{DuplexConfig, duplex},
    harness::{Outcome, broken, ensure},
};
use futures::future::join;
use skep_api::security::{Role, SecureCx, SecurityErrorKind, Verifier};

/// S1. An upgrade that proves nothing says so, and refuses every peer where the operator has not allowed that.
pub async fn insecure_needs_consent(fixture: Fixture) -> Outcome {
    let (dialer, listener) = (Node::new(&fixture), Node::new(&fixture));
    ensure!(dialer.upgrader.insecure(), "it proves nothing, and does not say so");
    let (a, b) = duplex(DuplexConfig::default());
    let cx = |role| SecureCx::new(role, Verifier::new(None), Vec::new());
    let (dialer, listener) =
        join(dialer.upgrader.secure(a, cx(Role::Dialer)), listener.upgrader.secure(b, cx(Role::Listener)))
            .await;
    let Err(refusal) = dialer else { return broken("the dialler took a peer at its word without consent") };
    ensure!(refusal.kind() == SecurityErrorKind::InsecureRefused, "the dialler failed otherwise: {refusal}");
    ensure!(listener.is_err(), "the listener took a peer at its word without consent");
    Ok(())
}
