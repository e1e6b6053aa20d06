//! One waker for both sides of a stream.
//!
//! A socket remembers one waker for writing, and both sides write: the reader answers pings. What it wakes is both.

use futures::task::AtomicWaker;
use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
};

/// Who waits to write.
#[derive(Debug)]
pub(super) struct Wakers {
    sides: Arc<Sides>,
    /// `sides` as what the socket is given.
    waker: Waker,
}

#[derive(Debug, Default)]
struct Sides {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Default for Wakers {
    fn default() -> Self {
        let sides = Arc::new(Sides::default());
        Self { waker: Arc::clone(&sides).into(), sides }
    }
}

impl Wakers {
    pub(super) fn set_reader(&self, waker: &Waker) {
        self.sides.reader.register(waker);
    }

    pub(super) fn set_writer(&self, waker: &Waker) {
        self.sides.writer.register(waker);
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl Wake for Sides {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}
