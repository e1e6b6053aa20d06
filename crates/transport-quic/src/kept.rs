//! Sockets of dials that outlive the last of them for a while.
//!
//! A socket with QUIC on it takes longer to make than a handshake takes: buffers for many datagrams, and what the kernel does
//! to set it up. A node that dials one peer after the other would make one for each.

use crate::endpoints::Socket;
use skep_api::TaskScope;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// How long a socket stays after the last dial from it.
const FOR: Duration = Duration::from_secs(10);

/// A socket, and until when it is kept.
type Entry = (Arc<Socket>, Instant);

/// The sockets that are kept: one for each address family.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<Entry>>>);

impl Kept {
    /// Keeps a socket from now on for a while.
    pub(crate) fn keep(&self, socket: &Arc<Socket>, tasks: &TaskScope) {
        let until = Instant::now() + FOR;
        let mut kept = self.lock();
        if let Some((_, known)) = kept.iter_mut().find(|(known, _)| Arc::ptr_eq(known, socket)) {
            *known = until;
            return;
        }
        kept.push((Arc::clone(socket), until));
        let (all, socket, over) = (self.clone(), Arc::downgrade(socket), tasks.cancelled().clone());
        tasks.spawn("quic socket of dials", async move {
            tokio::select! {
                () = all.expire(&socket) => {}
                () = over.cancelled() => {}
            }
            all.forget(&socket);
        });
    }

    /// Waits until nobody has dialled from the socket for long enough.
    async fn expire(&self, socket: &Weak<Socket>) {
        while let Some(until) = self.until(socket).filter(|until| *until > Instant::now()) {
            sleep_until(until).await;
        }
    }

    /// How long the socket is kept.
    fn until(&self, socket: &Weak<Socket>) -> Option<Instant> {
        self.lock().iter().find(|(known, _)| is(known, socket)).map(|(_, until)| *until)
    }

    fn forget(&self, socket: &Weak<Socket>) {
        self.lock().retain(|(known, _)| !is(known, socket));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is(known: &Arc<Socket>, socket: &Weak<Socket>) -> bool {
    std::ptr::eq(Arc::as_ptr(known), socket.as_ptr())
}
