//! An in-memory duplex byte stream with the faults of a real one.
//!
//! It works under paused time: delays are timers, and nothing runs in the background.

mod end;
mod lane;
mod wire;

pub use wire::Wire;

use end::End;
use lane::Shared;
use skep_api::{BoxIo, security::Role};
use std::time::Duration;

/// How a duplex behaves. The default is a fast and faultless one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplexConfig {
    /// How long a byte is on its way, in each direction.
    pub latency: Duration,
    /// Most bytes that are on their way in each direction; a writer waits for room.
    pub capacity: usize,
    /// Most bytes that one read returns.
    pub max_read: usize,
    /// Most bytes that one write takes.
    pub max_write: usize,
    /// After so many bytes, both directions together, the connection is lost: everything fails.
    pub lose_after: Option<usize>,
}

impl Default for DuplexConfig {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            capacity: 64 * 1024,
            max_read: usize::MAX,
            max_write: usize::MAX,
            lose_after: None,
        }
    }
}

impl DuplexConfig {
    /// Reads and writes of at most so many bytes each.
    #[must_use]
    pub fn short(max_read: usize, max_write: usize) -> Self {
        Self { max_read, max_write, ..Self::default() }
    }

    /// The same with a latency in each direction.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// The same, lost after so many bytes.
    #[must_use]
    pub fn lost_after(mut self, bytes: usize) -> Self {
        self.lose_after = Some(bytes);
        self
    }

    /// The same with room for so many bytes in each direction.
    #[must_use]
    pub fn with_capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }
}

/// Two ends that are connected, the dialler's first.
#[must_use]
pub fn duplex(config: DuplexConfig) -> (BoxIo, BoxIo) {
    let (dialer, listener, _) = wiretap(config);
    (dialer, listener)
}

/// Two ends that are connected, the dialler's first, and a hand on the wire between them.
#[must_use]
pub fn wiretap(config: DuplexConfig) -> (BoxIo, BoxIo, Wire) {
    let shared = Shared::new(config);
    let end = |role| Box::new(End::new(shared.clone(), role));
    (end(Role::Dialer), end(Role::Listener), Wire::new(shared.clone()))
}
