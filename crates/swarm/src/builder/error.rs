//! What is wrong with a stack that cannot carry a connection.

use crate::{handlers::HandlerError, stack::Stack};
use skep_api::{ConfigErrors, peerstore::PeerStoreError};

/// A stack that cannot carry a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No transport at all.
    #[error("the node has no transport; add one with `.transport(name, object)`")]
    NoTransport,
    /// A transport gives raw links, but nothing secures them.
    #[error("transport `{0}` needs a security upgrade; add one with `.security(name, object)`")]
    NoSecurity(String),
    /// A transport gives raw links, but nothing multiplexes them.
    #[error("transport `{0}` needs a muxer; add one with `.muxer(name, object)`")]
    NoMuxer(String),
    /// The swarm's settings contradict themselves, or leave no room for anything.
    #[error(transparent)]
    Settings(#[from] ConfigErrors),
    /// The peer store cannot be used.
    #[error("peer store `{0}`")]
    PeerStore(String, #[source] PeerStoreError),
    /// Two handlers for one protocol, or an id that cannot be.
    #[error(transparent)]
    Handler(#[from] HandlerError),
}

pub(super) fn check(stack: &Stack) -> Result<(), BuildError> {
    if stack.transports.is_empty() {
        return Err(BuildError::NoTransport);
    }
    for transport in stack.transports.iter().filter(|t| !t.object.capabilities().muxed) {
        if stack.security.is_empty() {
            return Err(BuildError::NoSecurity(transport.name.clone()));
        }
        if stack.muxers.is_empty() {
            return Err(BuildError::NoMuxer(transport.name.clone()));
        }
    }
    Ok(())
}
