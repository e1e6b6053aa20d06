//! Protectors: what a private network puts around the byte stream of a raw link.

use crate::{BoxIo, error::layer_error, security::Role};
use async_trait::async_trait;
use std::fmt::Debug;

/// Lets only the members of a private network understand each other (libp2p specs, pnet).
///
/// It comes before anything else is said on a raw link. What is spoken inside begins with the header of
/// multistream-select, which a protector may look for: with another network's key it does not appear.
///
/// # Obligations
///
/// * P1. Nothing that the peer sends is passed on before it is known to come from a member, and what a stranger sends ends
///   in [`ProtectorErrorKind::WrongNetwork`], in `protect` or inside of the I/O error of the first read.
/// * P2. No byte of the inside reaches the stream below as it is.
/// * P3. A key appears in no `Debug` text, error or log.
/// * P4. `protect` of a dialler waits for nothing: what it has to say goes out with the first bytes of the inside.
#[async_trait]
pub trait Protector: Debug + Send + Sync + 'static {
    /// The networks by their fingerprints, that of dials first: what an operator may compare with another node's.
    fn fingerprints(&self) -> Vec<String>;

    /// Wraps a link. The caller bounds it in time by dropping the future.
    ///
    /// # Errors
    /// [`ProtectorError`]; the link is gone then.
    async fn protect(&self, io: BoxIo, role: Role) -> Result<BoxIo, ProtectorError>;
}

layer_error! {
    /// A link that could not be protected.
    ProtectorError,
    /// What went wrong.
    ProtectorErrorKind {
        /// The peer is not of this network.
        WrongNetwork => "wrong_network", Remote, Permanent, "the peer is not of this private network",
            "give both nodes the same `swarm.key`; compare the fingerprints that they print at their start";
        /// The stream broke.
        Io => "protector_io", Network, Soon, "the connection broke while it was protected",
            "the peer closed it: it may be of another private network, or of none";
    }
}
