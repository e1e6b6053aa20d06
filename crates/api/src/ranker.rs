//! Dial rankers: in which order, and how far apart, addresses are tried.

use crate::Multiaddr;
use std::{fmt, time::Duration};

/// Orders the addresses of one dial.
///
/// # Obligations
///
/// * K1. Every address given comes back exactly once.
/// * K2. Delays are counted from the start of the dial and never fall along the list.
/// * K3. Equal input gives equal output.
pub trait DialRanker: fmt::Debug + Send + Sync + 'static {
    /// The addresses in the order in which they should be started.
    fn rank(&self, addrs: Vec<Multiaddr>) -> Vec<RankedAddr>;
}

/// An address and when to start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedAddr {
    /// The address.
    pub addr: Multiaddr,
    /// How long after the start of the dial, unless an earlier attempt fails sooner.
    pub delay: Duration,
}
