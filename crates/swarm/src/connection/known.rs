//! What comes to be known of a connection: what its peer says of itself, and why it ended.

use skep_api::{CloseReason, protocol::PeerInfo};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Notify;

/// One waker for both, and no more than pointers while neither is known: a node has many connections at rest.
#[derive(Debug, Default)]
pub(crate) struct Known {
    info: Mutex<Option<Arc<PeerInfo>>>,
    ended: OnceLock<CloseReason>,
    changed: Notify,
}

impl Known {
    pub(crate) fn info(&self) -> Option<Arc<PeerInfo>> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_info(&self, info: PeerInfo) {
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(info));
        self.changed.notify_waiters();
    }

    /// Why the connection ended, if it has.
    pub(super) fn end(&self) -> Option<&CloseReason> {
        self.ended.get()
    }

    /// It has ended. What is said first counts.
    pub(crate) fn set_end(&self, reason: CloseReason) {
        let _ = self.ended.set(reason);
        self.changed.notify_waiters();
    }

    /// Waits until `look` finds something.
    pub(super) async fn wait<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before looking, so that no change is missed.
            changed.as_mut().enable();
            if let Some(found) = look(self) {
                return found;
            }
            changed.await;
        }
    }
}
