//! The life of the service on one node.

use super::{AutoConnector, candidates::gather, choose::choose};
use crate::service::{
    dials::{Dials, Ended},
    keys::count,
};
use lru::LruCache;
use skep_api::{
    PeerId,
    address::{self, Subnet},
    security::Role,
    service::{Change, DialManner, DialPriority, NodeControl},
    tags::CommonTags,
};
use std::{collections::HashSet, num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// What happens within this time is looked at together.
const SETTLE: Duration = Duration::from_millis(100);

/// How long a peer is left alone of which nothing could be tried.
const PAUSE: Duration = Duration::from_secs(30);

/// A connection that ends before counts as a failure.
const YOUNG: Duration = Duration::from_secs(60);

/// After so many dials in a row in which nothing was tried, it is this node that does not dial: the next tick decides.
const MOST_REFUSED: u32 = 16;

pub(super) struct Run<'a> {
    service: &'a AutoConnector,
    node: Arc<dyn NodeControl>,
    dials: Dials,
    /// Peers that this node has dialled: since when they are connected, and their failures before that.
    young: LruCache<PeerId, (Instant, u32)>,
    refused: u32,
    tick: Instant,
    /// When to look because of something that has happened.
    soon: Option<Instant>,
}

/// Who is connected, and from where.
struct Connected {
    peers: HashSet<PeerId>,
    subnets: HashSet<Subnet>,
}

impl<'a> Run<'a> {
    pub(super) fn new(service: &'a AutoConnector, node: Arc<dyn NodeControl>) -> Self {
        let entries = NonZeroUsize::new(count(service.config.cooldown_entries)).unwrap_or(NonZeroUsize::MIN);
        let dials = Dials::new(Arc::clone(&service.dialling));
        let (tick, young) = (Instant::now(), LruCache::new(entries));
        Self { service, node, dials, young, refused: 0, tick, soon: None }
    }

    /// Until the node ends.
    pub(super) async fn run(mut self) {
        let service = self.service;
        let weight = CommonTags::weight(CommonTags::BOOTSTRAP).unwrap_or_default();
        service.bootstrap_before.take_back(&service.bootstrap, &*self.node, CommonTags::BOOTSTRAP);
        service.bootstrap.put(&*self.node, CommonTags::BOOTSTRAP, weight);
        let mut changes = self.node.changes();
        sleep(service.config.start_within.0.mul_f64(service.random.unit())).await;
        self.tick = Instant::now();
        loop {
            let look = self.soon.map_or(self.tick, |soon| soon.min(self.tick));
            tokio::select! {
                // In this order: what looks is rare, and changes may come without end.
                biased;
                () = sleep_until(look) => self.look(),
                () = service.look.notified() => self.look(),
                ended = self.dials.next() => self.ended(ended),
                change = changes.next() => match change {
                    Some(change) => self.heard(&change),
                    None => return,
                },
            }
        }
    }

    fn heard(&mut self, change: &Change) {
        match change {
            Change::Connected { peer, role, .. } => {
                self.connected(peer, *role);
                if self.dials.len() > 0 {
                    self.give_up_surplus();
                }
            }
            Change::Disconnected { peer, .. } => self.disconnected(peer),
            Change::Missed => {
                for view in self.node.connections() {
                    self.service.lock().forget(&view.peer);
                }
                let young: Vec<_> = self.young.iter().map(|(peer, _)| *peer).collect();
                young.iter().for_each(|peer| self.disconnected(peer));
                self.give_up_surplus();
                self.soon();
            }
            _ => self.soon(),
        }
    }

    fn connected(&mut self, peer: &PeerId, role: Role) {
        let mut cooldowns = self.service.lock();
        if role == Role::Dialer && !self.young.contains(peer) {
            self.young.put(*peer, (Instant::now(), cooldowns.failures(peer)));
        }
        cooldowns.forget(peer);
    }

    fn disconnected(&mut self, peer: &PeerId) {
        if self.node.is_connected(peer) {
            return;
        }
        if let Some((since, failures)) = self.young.pop(peer).filter(|(since, _)| since.elapsed() < YOUNG) {
            tracing::debug!(%peer, "the connection ended {:?} after the dial", since.elapsed());
            self.service.lock().fail(peer, "short_lived", failures, Instant::now());
        }
        self.soon();
    }

    fn ended(&mut self, (peer, result): Ended) {
        match result {
            Ok(_) => {
                self.refused = 0;
                // It may have ended again, which was told then.
                if self.node.is_connected(&peer) {
                    self.connected(&peer, Role::Dialer);
                }
                self.soon();
            }
            Err(e) if e.tried => {
                self.refused = 0;
                let wait = self.service.lock().fail(&peer, e.code, 0, Instant::now());
                tracing::debug!(%peer, code = e.code, "left alone for {wait:?}");
                self.soon();
            }
            Err(e) => {
                self.refused = self.refused.saturating_add(1);
                self.service.lock().pause(&peer, e.code, PAUSE, Instant::now());
                if self.refused < MOST_REFUSED {
                    self.soon();
                }
            }
        }
    }

    fn soon(&mut self) {
        let soon = later(SETTLE);
        self.soon = Some(self.soon.map_or(soon, |before| before.min(soon)));
    }

    /// Dials as many peers as are missing.
    fn look(&mut self) {
        if self.tick <= Instant::now() {
            self.tick = later(self.service.config.interval.0);
            self.refused = 0;
        }
        self.soon = None;
        let connected = self.give_up_surplus();
        let target = count(self.service.config.target);
        let under_way = connected.peers.len().saturating_add(self.others(&connected).len());
        let room = count(self.service.config.parallel).saturating_sub(self.dials.len());
        let missing = target.saturating_sub(under_way).min(room);
        if missing == 0 {
            return;
        }
        for peer in self.choose(connected, under_way, missing) {
            self.dials.start(Arc::clone(&self.node), peer, DialManner::of(DialPriority::AutoConnect));
        }
    }

    fn choose(&self, connected: Connected, under_way: usize, missing: usize) -> Vec<PeerId> {
        let Some(store) = self.node.peerstore() else { return Vec::new() };
        let (now, own) = (Instant::now(), self.node.local_peer());
        let eligible = |peer: &PeerId| {
            *peer != own
                && !connected.peers.contains(peer)
                && !self.dials.has(peer)
                && self.service.lock().until(peer, now).is_none()
        };
        let candidates = gather(&*self.node.tags(), &*store, &self.service.random, &eligible);
        let until = count(self.service.config.bootstrap_until);
        choose(candidates, connected.subnets, under_way, until, missing)
    }

    /// Gives up the dials, the last begun first, that would lead beyond the target.
    fn give_up_surplus(&mut self) -> Connected {
        let connected = Connected::of(&*self.node);
        let others = self.others(&connected);
        let wanted = count(self.service.config.target).saturating_sub(connected.peers.len());
        for peer in others.iter().take(others.len().saturating_sub(wanted)) {
            self.dials.end(peer);
        }
        connected
    }

    /// The peers being dialled that are not connected yet, the last begun first.
    fn others(&self, connected: &Connected) -> Vec<PeerId> {
        let mut others = self.dials.newest();
        others.retain(|peer| !connected.peers.contains(peer));
        others
    }
}

impl Connected {
    fn of(node: &dyn NodeControl) -> Self {
        let connections = node.connections();
        let subnets = connections.iter().filter_map(|view| address::ip(&view.remote)).map(Subnet::of);
        Self { peers: connections.iter().map(|view| view.peer).collect(), subnets: subnets.collect() }
    }
}

fn later(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}
