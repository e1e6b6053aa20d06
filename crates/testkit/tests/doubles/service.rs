//! A service: dials the peers with a keep-alive tag again.

use async_trait::async_trait;
use serde_json::{Value, json};
use skep_api::{
    PeerId,
    service::{Change, DialManner, DialPriority, NodeControl, Service},
    tags::CommonTags,
};
use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    ItNeedsAPeerStore,
    DialsRunInTheNodesTasks,
    TheEndIsUnexpected,
    EveryPeerIsReported,
    OnlyWhatIsToldIsActedOn,
    ATaskOfItsOwn,
    TheReportIsAList,
}

#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) fault: Fault,
    pub(crate) seen: Mutex<Vec<PeerId>>,
}

impl Keeper {
    async fn dial(&self, node: &Arc<dyn NodeControl>, peer: PeerId) {
        let manner = DialManner::of(DialPriority::Reconnect);
        if self.fault == Fault::DialsRunInTheNodesTasks {
            let there = Arc::clone(node);
            return node.tasks().spawn("dial", async move { drop(there.dial(&peer, manner).await) });
        }
        drop(node.dial(&peer, manner.within(Duration::from_secs(1))).await);
    }
}

#[async_trait]
impl Service for Keeper {
    async fn run(&self, node: Arc<dyn NodeControl>) {
        match self.fault {
            Fault::ItNeedsAPeerStore => drop(node.peerstore().unwrap()),
            Fault::ATaskOfItsOwn => drop(tokio::spawn(pending::<()>())),
            _ => {}
        }
        let mut changes = node.changes();
        let mut told: Vec<PeerId> = Vec::new();
        loop {
            let every = self.fault != Fault::OnlyWhatIsToldIsActedOn;
            let wanted = node.tags().tagged(&CommonTags::is_keep_alive);
            for peer in wanted.iter().filter(|peer| every || told.contains(peer)).take(4) {
                if !node.is_connected(peer) {
                    self.dial(&node, *peer).await;
                }
            }
            match timeout(Duration::from_secs(10), changes.next()).await {
                Ok(Some(Change::Disconnected { peer, .. })) => told.push(peer),
                Ok(Some(Change::Connected { peer, .. })) => self.seen.lock().unwrap().push(peer),
                Ok(None) if self.fault == Fault::TheEndIsUnexpected => panic!("no more changes"),
                Ok(None) => return,
                _ => {}
            }
        }
    }

    fn report(&self) -> Value {
        let seen = self.seen.lock().unwrap();
        let most = if self.fault == Fault::EveryPeerIsReported { usize::MAX } else { 16 };
        // Long enough that a hundred of them are too many.
        let peers: Vec<_> =
            seen.iter().take(most).map(|peer| [peer.to_string(), "-".repeat(4_000)]).collect();
        match self.fault {
            Fault::TheReportIsAList => json!(peers),
            _ => json!({ "seen": peers }),
        }
    }
}
