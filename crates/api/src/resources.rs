//! Resource managers: what a connection or a stream may take, as guards that give it back.

use crate::{Multiaddr, PeerId, security::Role};
use std::fmt;

/// Grants resources and takes them back when a guard is dropped.
///
/// # Obligations
///
/// * U1. A grant covers all scopes it falls under, or nothing is taken.
/// * U2. Dropping a guard gives back exactly what it took, at once.
/// * U3. A denial names the scope, the limit, its current value and the configuration key.
/// * U4. An error inside the manager is a denial: it fails closed.
pub trait ResourceManager: fmt::Debug + Send + Sync + 'static {
    /// Takes a connection slot before a socket is accepted or dialled.
    ///
    /// # Errors
    /// [`LimitExceeded`] if there is no room.
    fn open_connection(
        &self,
        role: Role,
        remote: &Multiaddr,
    ) -> Result<Box<dyn ConnectionScope>, LimitExceeded>;
}

/// What one connection holds.
pub trait ConnectionScope: fmt::Debug + Send + Sync + 'static {
    /// Moves the connection from the transient scope to its peer's.
    ///
    /// # Errors
    /// [`LimitExceeded`] if the peer has too many already.
    fn set_peer(&mut self, peer: &PeerId) -> Result<(), LimitExceeded>;

    /// Takes a stream slot.
    ///
    /// # Errors
    /// [`LimitExceeded`] if there is no room.
    fn open_stream(&self, role: Role) -> Result<Box<dyn StreamScope>, LimitExceeded>;
}

/// What one stream holds.
pub trait StreamScope: fmt::Debug + Send + Sync + 'static {
    /// Accounts the stream to a protocol.
    ///
    /// # Errors
    /// [`LimitExceeded`] if the protocol has too many already.
    fn set_protocol(&mut self, protocol: &str) -> Result<(), LimitExceeded>;
}

/// A limit that would be exceeded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{scope}: {current} of {limit} in use; raise `{key}`")]
pub struct LimitExceeded {
    /// What is limited, such as `connections, system`.
    pub scope: String,
    /// How much is in use.
    pub current: u64,
    /// How much may be.
    pub limit: u64,
    /// The configuration key of the limit.
    pub key: String,
}
