//! A build context for tests.

use skep_api::{BuildCx, Keypair, TaskScope, context::Spawn};
use std::{future::Future, pin::Pin, sync::Arc};
use tokio_util::sync::CancellationToken;

/// A context with a fresh ed25519 identity, whose tasks run on the current tokio runtime.
#[must_use]
pub fn build_cx() -> BuildCx {
    build_cx_with(Keypair::generate_ed25519())
}

/// A context for the node with this key, whose tasks run on the current tokio runtime.
#[must_use]
pub fn build_cx_with(identity: Keypair) -> BuildCx {
    BuildCx::new(identity, TaskScope::new(Arc::new(CurrentRuntime), CancellationToken::new()))
}

/// Spawns on whatever runtime the caller is in; it panics outside of one, as `tokio::spawn` does.
#[derive(Debug)]
struct CurrentRuntime;

impl Spawn for CurrentRuntime {
    fn spawn(&self, _name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(tokio::spawn(task));
    }
}
