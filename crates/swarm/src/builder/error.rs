//! What is wrong with a stack that cannot carry a connection.

use crate::{handlers::HandlerError, settings::Settings, stack::Stack};
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
    /// A transport whose links cannot be kept within the private network.
    #[error(
        "transport `{transport}` secures its links by itself, so that `{protector}` cannot protect them; leave one out"
    )]
    Unprotected {
        /// The transport.
        transport: String,
        /// The protector.
        protector: String,
    },
    /// A security upgrade that proves nothing.
    #[error(
        "`{0}` neither hides what is said nor proves who says it; in tests set `Settings::allow_insecure`"
    )]
    Insecure(String),
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

pub(super) fn check(stack: &Stack, settings: &Settings) -> Result<(), BuildError> {
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
    let muxed = stack.transports.iter().find(|t| t.object.capabilities().muxed);
    if let (Some(protector), Some(transport)) = (&stack.protector, muxed) {
        let (transport, protector) = (transport.name.clone(), protector.name.clone());
        return Err(BuildError::Unprotected { transport, protector });
    }
    match stack.security.iter().find(|upgrader| upgrader.object.insecure()) {
        Some(insecure) if !settings.allow_insecure => Err(BuildError::Insecure(insecure.name.clone())),
        _ => Ok(()),
    }
}
