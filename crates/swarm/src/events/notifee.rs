//! Events as calls, for those who prefer them to a loop.

use super::{Event, EventKinds, StreamEvent};
use crate::swarm::Swarm;
use async_trait::async_trait;
use futures::FutureExt;
use skep_api::{CloseReason, Multiaddr, PeerId};
use std::{fmt, panic::AssertUnwindSafe, sync::Arc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Told what happens in a node, one call after the other, in a task of its own. Whatever it does, nothing waits for it;
/// if it is more than 1024 events behind it misses the oldest. A panic is caught and counted, and the next call comes.
#[async_trait]
pub trait Notifee: Send + Sync + 'static {
    /// A connection was registered.
    async fn connected(&self, _swarm: &Swarm, _connection: u64, _peer: PeerId) {}
    /// A connection ended. The last call about it.
    async fn disconnected(&self, _swarm: &Swarm, _connection: u64, _peer: PeerId, _reason: CloseReason) {}
    /// A stream was opened.
    async fn opened_stream(&self, _swarm: &Swarm, _stream: StreamEvent) {}
    /// A stream has ended.
    async fn closed_stream(&self, _swarm: &Swarm, _stream: StreamEvent) {}
    /// An address is bound.
    async fn listen(&self, _swarm: &Swarm, _addr: Multiaddr) {}
    /// An address can be dialled no longer: its listener has ended, or the host has lost it.
    async fn listen_close(&self, _swarm: &Swarm, _addr: Multiaddr) {}
    /// It was too slow, and so many events were left out before the next one.
    async fn missed(&self, _swarm: &Swarm, _events: u64) {}
}

/// Ends the calls to a notifee when it is dropped, or by [`Registration::unregister`].
#[must_use = "dropping it ends the calls"]
pub struct Registration(DropGuard);

impl Registration {
    /// Ends the calls. One that is under way is dropped where it waits.
    pub fn unregister(self) {
        drop(self.0);
    }

    /// Lets the calls go on for as long as the node lives.
    pub fn forever(self) {
        let _ = self.0.disarm();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registration")
    }
}

impl Swarm {
    /// Tells `notifee` what happens from now on, until the registration is dropped or the node ends.
    pub fn register_notifee(&self, notifee: Arc<dyn Notifee>) -> Registration {
        let mut events = self.events_of(EventKinds::ALL);
        let ended = CancellationToken::new();
        let (node, unregistered) = (Arc::downgrade(&self.0), ended.clone());
        self.0.hearers.spawn_on(self.0.handler_runtime.as_ref(), "notifee", async move {
            let calls = async {
                let mut known = 0;
                while let Some(event) = events.next().await {
                    let Some(swarm) = node.upgrade().map(Swarm) else { return };
                    let missed =
                        events.missed().saturating_sub(std::mem::replace(&mut known, events.missed()));
                    let calls = async {
                        if missed > 0 {
                            notifee.missed(&swarm, missed).await;
                        }
                        call(&*notifee, &swarm, event).await;
                    };
                    let call = AssertUnwindSafe(calls).catch_unwind();
                    if call.await.is_err() {
                        swarm.0.tasks.note_panic();
                        tracing::error!("A notifee panicked; it is told of the next event all the same.");
                    }
                }
            };
            unregistered.run_until_cancelled(calls).await;
        });
        Registration(ended.drop_guard())
    }
}

async fn call(notifee: &dyn Notifee, swarm: &Swarm, event: Event) {
    match event {
        Event::Connected { id, peer, .. } => notifee.connected(swarm, id, peer).await,
        Event::Disconnected { id, peer, reason } => notifee.disconnected(swarm, id, peer, reason).await,
        Event::StreamOpened(stream) => notifee.opened_stream(swarm, stream).await,
        Event::StreamClosed(stream) => notifee.closed_stream(swarm, stream).await,
        Event::Listening(addr) => notifee.listen(swarm, addr).await,
        Event::ListenerClosed { addr, .. } | Event::AddressExpired(addr) => {
            notifee.listen_close(swarm, addr).await
        }
        Event::Connectedness { .. } | Event::InboundFailed { .. } | Event::Pruned { .. } => {}
    }
}
