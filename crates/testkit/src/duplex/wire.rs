//! A hand on the wire: to see what passes, and to do what an attacker or a bad line would.

use super::lane::Shared;
use skep_api::security::Role;
use std::fmt;
use tokio::time::Instant;

/// The wire of a duplex: sees what passes, and does to it what an attacker or a bad line would.
///
/// Offsets count the bytes that one end wrote since the start.
#[derive(Clone)]
pub struct Wire {
    shared: Shared,
}

impl Wire {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// What this end has written so far, before any tampering.
    #[must_use]
    pub fn sent_by(&self, role: Role) -> Vec<u8> {
        self.shared.lock().lane(role).record.clone()
    }

    /// Changes a byte that this end is still to write: it arrives as `byte ^ mask`.
    pub fn flip(&self, role: Role, offset: usize, mask: u8) {
        self.shared.lock().lane(role).flip = Some((offset, mask));
    }

    /// Lets the bytes of this end up to `offset` pass, and then the end of file; the writer does not notice.
    pub fn cut(&self, role: Role, offset: usize) {
        let mut shared = self.shared.lock();
        let at = Instant::now() + shared.config.latency;
        let lane = shared.lane(role);
        lane.cut = Some(offset);
        if lane.record.len() >= offset {
            lane.end(at);
        }
    }

    /// Puts bytes on the wire as if this end had written them. They are not recorded.
    pub fn inject(&self, role: Role, bytes: &[u8]) {
        let mut shared = self.shared.lock();
        let at = Instant::now() + shared.config.latency;
        shared.lane(role).push(at, bytes.to_vec());
    }

    /// Loses the connection, in both directions at once.
    pub fn lose(&self) {
        self.shared.lock().lose();
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}
