//! Resolvers: from names to addresses that can be dialled.

use crate::{Multiaddr, error::layer_error};
use async_trait::async_trait;
use std::fmt::Debug;

/// Most addresses that one address may resolve to.
pub const MAX_OUTPUTS: usize = 100;

/// Turns addresses with names in them into addresses without.
///
/// # Obligations
///
/// * V1. An address without a name comes back unchanged, as the only result.
/// * V2. A failure is an error, never an empty list.
/// * V3. At most [`MAX_OUTPUTS`] addresses come back, and none of them has a name that this resolver handles.
/// * V4. Lookups are bounded in number, depth and time, whatever the answers say.
#[async_trait]
pub trait Resolver: Debug + Send + Sync + 'static {
    /// Resolves all names in `addr`.
    ///
    /// # Errors
    /// [`ResolveError`] with the name in its detail.
    async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError>;
}

layer_error! {
    /// A name that could not be resolved.
    ResolveError,
    /// What went wrong while resolving.
    ResolveErrorKind {
        /// The name does not exist, or has no record of the wanted type.
        NotFound => "name_not_found", Remote, Later, "the name does not exist or has no such record",
            "check the spelling, and the record type that the address asks for";
        /// No answer.
        Unavailable => "name_server_unavailable", Network, Soon, "the name server gave no answer",
            "check /etc/resolv.conf and the network";
        /// Nothing here resolves such addresses.
        Unsupported => "no_resolver", Local, Permanent, "no resolver for this address",
            "set `[stack] resolver = \"dns\"`";
        /// Too deep or too many.
        Limit => "resolver_limit", Remote, Permanent, "the name leads to too many lookups",
            "ask the owner of the name to shorten its dnsaddr records";
        /// The records are unusable.
        BadRecord => "bad_record", Remote, Permanent, "the name has no usable record",
            "ask the owner of the name to check its records";
    }
}
