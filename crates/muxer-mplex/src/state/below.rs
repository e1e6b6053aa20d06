//! What the layer below the crate asks of a stream, and tells it.

use super::{Admission, State};

impl State {
    /// Data of this length wants to pass.
    pub(crate) fn admit(&self, len: usize) -> Admission {
        let mut inner = self.lock();
        if inner.reset_seen || inner.released || inner.stopped.is_some() {
            return Admission::Discard;
        }
        if inner.fin_seen {
            return Admission::AfterEnd;
        }
        let backlog = inner.backlog();
        let is_full = backlog.saturating_add(len) > self.shared.limits.max_buffer;
        if inner.holds || is_full {
            inner.holds = true;
            return Admission::Hold;
        }
        inner.passed = inner.passed.saturating_add(len);
        Admission::Pass
    }

    /// The peer's end of file has come. False if the stream had ended before.
    pub(crate) fn see_fin(&self) -> bool {
        let mut inner = self.lock();
        !inner.reset_seen && !std::mem::replace(&mut inner.fin_seen, true)
    }

    /// The peer's reset has come. False if it had come before.
    pub(crate) fn see_reset(&self) -> bool {
        !std::mem::replace(&mut self.lock().reset_seen, true)
    }

    /// Whether an end that the crate sends is to be a reset.
    pub(crate) fn is_aborted(&self) -> bool {
        self.lock().aborted
    }

    /// Whether the peer has reset the stream.
    pub(crate) fn is_reset_by_peer(&self) -> bool {
        self.lock().reset_seen
    }
}
