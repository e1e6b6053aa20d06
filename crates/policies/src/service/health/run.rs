//! The work of the monitor: looks, pings and replacements, all in one future.

use super::{
    HealthMonitor, State,
    meters::Shown,
    ping::{self, Pinged},
    replace::{Replaced, Replacer},
    table::Due,
};
use futures::stream::{FuturesUnordered, StreamExt};
use skep_api::{PeerId, service::NodeControl};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, MutexGuard, PoisonError},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

type Running<T> = FuturesUnordered<Pin<Box<dyn Future<Output = T> + Send>>>;

impl HealthMonitor {
    pub(super) async fn watch(&self, node: Arc<dyn NodeControl>) {
        {
            let mut state = self.lock();
            state.budget.begin();
            state.table.begin(&self.config, &self.random, Instant::now());
        }
        let _shown = Shown(&self.meters);
        let (mut pings, mut replacements) = (Running::new(), Running::new());
        let mut looks = interval(self.config.look_every());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some((connection, pinged)) = pings.next() => self.pinged(&node, connection, pinged),
                Some((peer, replaced)) = replacements.next() => self.replaced(peer, replaced),
                _ = looks.tick() => self.look(&node, &mut replacements),
            }
            self.ping(&node, &mut pings);
        }
    }

    fn look(&self, node: &Arc<dyn NodeControl>, replacements: &mut Running<(PeerId, Replaced)>) {
        let (views, now) = (node.connections(), Instant::now());
        let mut state = self.lock();
        state.table.look(&views, &self.config, &self.random, now);
        self.meters.states(state.table.states());
        if !state.budget.has_room(&self.config, now) {
            return;
        }
        for plan in state.table.plans(&self.config) {
            if !state.budget.has_room(&self.config, now) {
                break;
            }
            // Without an address there is no other connection to be had; the peer is left alone.
            let possible = plan.better.is_some()
                || node.peerstore().is_some_and(|store| !store.addrs(&plan.peer).is_empty());
            if possible && state.budget.allows(&plan.peer, now) {
                state.budget.start(plan.peer, &self.config, now);
                replacements.push(Box::pin(self.replacer(node).replace(plan)));
            }
        }
    }

    /// Begins the pings whose turn it is, as far as there is room.
    fn ping(&self, node: &Arc<dyn NodeControl>, pings: &mut Running<(u64, Pinged)>) {
        let parallel = usize::try_from(self.config.parallel).unwrap_or(usize::MAX);
        let (mut state, now) = (self.lock(), Instant::now());
        while pings.len() < parallel
            && let Some(Due { connection, limit }) = state.table.next_due(&self.config, now)
        {
            let (node, config, random) = (Arc::clone(node), Arc::clone(&self.config), self.random.clone());
            pings.push(Box::pin(async move {
                let pinged = ping::ping(&*node, connection, &config.protocol, limit, &random).await;
                (connection, pinged)
            }));
        }
    }

    fn pinged(&self, node: &Arc<dyn NodeControl>, connection: u64, pinged: Pinged) {
        self.meters.pinged(pinged);
        let peer = self.lock().table.pinged(connection, pinged);
        if let (Some(peer), Pinged::Answered(rtt), Some(store)) = (peer, pinged, node.peerstore()) {
            store.record_latency(&peer, rtt);
        }
    }

    fn replaced(&self, peer: PeerId, replaced: Replaced) {
        self.meters.replaced(replaced);
        self.lock().budget.end(peer, Instant::now());
        tracing::info!(%peer, outcome = replaced.name(), "the replacement of an unhealthy connection has ended");
    }

    fn replacer(&self, node: &Arc<dyn NodeControl>) -> Replacer {
        Replacer {
            node: Arc::clone(node),
            state: Arc::clone(&self.state),
            config: Arc::clone(&self.config),
            random: self.random.clone(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
