//! Dial rankers: in which order, and how far apart, addresses are tried.

use crate::Multiaddr;
use std::{fmt, time::Duration};

/// Orders the addresses of one dial.
///
/// A ranker sets the pace only. The framework starts the next address at once when one fails, waits with the next
/// while a handshake is under way, and keeps to the limits of `[dial]`.
///
/// # Obligations
///
/// * K1. Every address given comes back exactly once.
/// * K2. Equal input gives equal output.
/// * K3. The first address is not held back: its gap is zero.
/// * K4. `rank` does not block, and takes no longer than sorting.
pub trait DialRanker: fmt::Debug + Send + Sync + 'static {
    /// The addresses in the order in which they should be started.
    fn rank(&self, candidates: Vec<DialCandidate>) -> Vec<RankedAddr>;
}

/// An address that may be dialled: names resolved, filters passed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialCandidate {
    /// The address.
    pub addr: Multiaddr,
    /// Whether a connection to it has worked before and is remembered.
    pub worked: bool,
}

impl DialCandidate {
    /// An address of which nothing is known.
    #[must_use]
    pub fn new(addr: Multiaddr) -> Self {
        Self { addr, worked: false }
    }

    /// The same address, which has worked before.
    #[must_use]
    pub fn worked(mut self) -> Self {
        self.worked = true;
        self
    }
}

/// An address and its place in the race.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RankedAddr {
    /// The address.
    pub addr: Multiaddr,
    /// How long after the start of the one before it. [`RankedAddr::AFTER_FAILURE`] waits for a failure instead.
    pub gap: Duration,
    /// How much longer the ones behind it wait once its connection stands and its handshake is under way.
    pub head_start: Duration,
}

impl RankedAddr {
    /// A gap that no dial waits out: the address is started only when another has failed.
    pub const AFTER_FAILURE: Duration = Duration::MAX;

    /// An address that starts `gap` after the one before it and gives itself no head start.
    #[must_use]
    pub fn new(addr: Multiaddr, gap: Duration) -> Self {
        Self { addr, gap, head_start: Duration::ZERO }
    }

    /// The same with a head start over those behind it.
    #[must_use]
    pub fn head_start(mut self, head_start: Duration) -> Self {
        self.head_start = head_start;
        self
    }
}
