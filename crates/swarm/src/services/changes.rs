//! What changes in a node, for its services: the events of its connections, and what its peer store discovers.

use crate::events::{Event, Events};
use async_trait::async_trait;
use skep_api::{
    PeerId,
    service::{Change, Changes},
};
use tokio::sync::mpsc;

/// The changes from the moment of asking.
#[derive(Debug)]
pub(super) struct Watch {
    events: Events,
    /// Events that were missed when it was looked last.
    missed: u64,
    discoveries: Option<mpsc::Receiver<PeerId>>,
}

impl Watch {
    pub(super) fn new(events: Events, discoveries: Option<mpsc::Receiver<PeerId>>) -> Self {
        Self { events, missed: 0, discoveries }
    }

    /// A peer that the store has discovered. For ever without a store that tells.
    async fn discovered(discoveries: &mut Option<mpsc::Receiver<PeerId>>) -> PeerId {
        if let Some(receiver) = discoveries {
            if let Some(peer) = receiver.recv().await {
                return peer;
            }
            *discoveries = None;
        }
        std::future::pending().await
    }
}

#[async_trait]
impl Changes for Watch {
    async fn next(&mut self) -> Option<Change> {
        loop {
            let missed = self.events.missed();
            if std::mem::replace(&mut self.missed, missed) != missed {
                return Some(Change::Missed);
            }
            let event = tokio::select! {
                biased;
                event = self.events.next() => event?,
                peer = Self::discovered(&mut self.discoveries) => return Some(Change::Discovered { peer }),
            };
            match event {
                Event::Connected { id, peer, role, .. } => return Some(Change::Connected { id, peer, role }),
                Event::Disconnected { id, peer, reason } => {
                    return Some(Change::Disconnected { id, peer, reason });
                }
                _ => {}
            }
        }
    }
}
