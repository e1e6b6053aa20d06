//! One waker for the tasks of all transports on a port.

use crate::kind::Kind;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

/// Who waits on a port. A socket remembers one waker only, so it is given this, which wakes all of them: whichever is
/// polled next does the work for all.
#[derive(Debug, Default)]
pub(crate) struct Wakers(Mutex<[Option<Waker>; Kind::ALL.len()]>);

impl Wakers {
    /// Remembers who waits for connections of this kind.
    pub(crate) fn set(&self, kind: Kind, waker: &Waker) {
        if let Some(slot) = self.lock().get_mut(kind.index()) {
            match slot {
                Some(known) => known.clone_from(waker),
                None => *slot = Some(waker.clone()),
            }
        }
    }

    /// Wakes whoever waits for connections of this kind.
    pub(crate) fn wake_kind(&self, kind: Kind) {
        let waker = self.lock().get_mut(kind.index()).and_then(Option::take);
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Waker>; Kind::ALL.len()]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Kind::ALL.into_iter().for_each(|kind| self.wake_kind(kind));
    }
}
