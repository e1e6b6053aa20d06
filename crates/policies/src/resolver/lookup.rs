//! Single questions about names. The walk over them knows nothing of where the answers come from.

use async_trait::async_trait;
use skep_api::resolver::ResolveError;
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// Answers single questions.
///
/// An empty answer is [`NotFound`](skep_api::resolver::ResolveErrorKind::NotFound), as is a name that does not
/// exist.
#[async_trait]
pub(super) trait Lookup: fmt::Debug + Send + Sync {
    async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, ResolveError>;
    async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, ResolveError>;
    /// The TXT records of a name, the strings of each joined.
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError>;
}
