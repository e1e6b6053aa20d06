//! The life of the service on one node.

use super::{Reconnector, wanted};
use crate::service::{
    dials::{Dials, Ended},
    keys::count,
};
use skep_api::{
    PeerId,
    service::{Change, DialManner, DialPriority, NodeControl},
    tags::CommonTags,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// What happens within this time is looked at together.
const SETTLE: Duration = Duration::from_millis(50);

/// How long a peer is left alone of which nothing could be tried.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a connection has to last before failures are forgotten.
const STABLE: Duration = Duration::from_secs(30);

pub(super) struct Run<'a> {
    service: &'a Reconnector,
    node: Arc<dyn NodeControl>,
    dials: Dials,
    /// Since when the wanted peers that are connected are so. In order: several that are lost at once draw their waits one
    /// after the other.
    since: BTreeMap<PeerId, Instant>,
    tick: Instant,
    /// When to look before that.
    soon: Option<Instant>,
    told: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(service: &'a Reconnector, node: Arc<dyn NodeControl>) -> Self {
        let dials = Dials::new(Arc::clone(&service.dialling));
        let (since, tick) = (BTreeMap::new(), Instant::now());
        Self { service, node, dials, since, tick, soon: None, told: false }
    }

    /// Until the node ends.
    pub(super) async fn run(mut self) {
        let service = self.service;
        let weight = CommonTags::weight(CommonTags::KEEP_ALIVE).unwrap_or_default();
        service.given_before.take_back(&service.given, &*self.node, CommonTags::KEEP_ALIVE);
        service.given.put(&*self.node, CommonTags::KEEP_ALIVE, weight);
        let mut changes = self.node.changes();
        loop {
            let look = self.soon.map_or(self.tick, |soon| soon.min(self.tick));
            tokio::select! {
                // In this order: what looks is rare, and changes may come without end.
                biased;
                () = sleep_until(look) => self.look(),
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
            Change::Connected { peer, .. } if self.is_wanted(peer) => {
                self.since.entry(*peer).or_insert_with(Instant::now);
            }
            Change::Disconnected { peer, .. } if self.is_wanted(peer) && !self.node.is_connected(peer) => {
                self.lost(peer);
            }
            Change::Discovered { peer } if self.is_wanted(peer) => {
                self.service.lock().resume(peer, Instant::now());
                self.at(later(SETTLE));
            }
            Change::Missed => self.at(later(SETTLE)),
            _ => {}
        }
    }

    fn is_wanted(&self, peer: &PeerId) -> bool {
        let info = self.node.tags().info(peer);
        info.is_some_and(|info| info.tags.keys().any(|tag| CommonTags::is_keep_alive(tag)))
    }

    /// The last connection to a peer has ended.
    fn lost(&mut self, peer: &PeerId) {
        let (now, service) = (Instant::now(), self.service);
        let lasted = self.since.remove(peer).map(|since| since.elapsed());
        let mut backoffs = service.lock();
        if lasted.is_some_and(|lasted| lasted < STABLE) {
            backoffs.fail(peer, "short_lived", 0, now);
        } else {
            backoffs.forget(peer);
            let wait = service.config.initial_delay.0.mul_f64(service.random.unit());
            backoffs.pause(peer, "", wait, now);
        }
        let until = backoffs.until(peer, now).unwrap_or(now);
        drop(backoffs);
        tracing::debug!(%peer, "lost, dialled again in {:?}", until.saturating_duration_since(now));
        self.at(until);
    }

    fn ended(&mut self, (peer, result): Ended) {
        let now = Instant::now();
        match result {
            Ok(_) if self.node.is_connected(&peer) => {
                self.since.entry(peer).or_insert(now);
            }
            // It has ended again, which is told.
            Ok(_) => {}
            Err(e) if e.tried => {
                let wait = self.service.lock().fail(&peer, e.code, 0, now);
                tracing::debug!(%peer, code = e.code, "dialled again in {wait:?}");
            }
            Err(e) => self.service.lock().pause(&peer, e.code, PAUSE, now),
        }
        // There is room for another one now.
        self.at(later(SETTLE));
    }

    /// Looks at this moment, or before.
    fn at(&mut self, moment: Instant) {
        self.soon = Some(self.soon.map_or(moment, |before| before.min(moment)));
    }

    /// Dials whoever is wanted, not connected and not left alone.
    fn look(&mut self) {
        let now = Instant::now();
        if self.tick <= now {
            self.tick = later(self.service.config.interval.0);
        }
        self.soon = None;
        let (wanted, beyond) = wanted(&*self.node);
        if beyond > 0 && !std::mem::replace(&mut self.told, true) {
            tracing::warn!("{beyond} peers with a keep-alive tag are not kept connected: they are too many");
        }
        let mut connected: HashMap<PeerId, Duration> = HashMap::new();
        for view in self.node.connections() {
            let age = connected.entry(view.peer).or_default();
            *age = view.age.max(*age);
        }
        self.forget_unwanted(&wanted);
        self.compare(&wanted, &connected, now);
        let mut waiting: Vec<_> = wanted.into_iter().filter(|peer| !connected.contains_key(peer)).collect();
        waiting.retain(|peer| !self.dials.has(peer));
        self.dial(waiting, now);
    }

    /// Gives up what is about peers that are wanted no more.
    fn forget_unwanted(&mut self, wanted: &[PeerId]) {
        let wanted: HashSet<_> = wanted.iter().copied().collect();
        self.service.lock().keep(&wanted);
        self.since.retain(|peer, _| wanted.contains(peer));
        for peer in self.dials.newest().iter().filter(|peer| !wanted.contains(peer)) {
            self.dials.end(peer);
        }
    }

    /// Finds what was not told: peers that have come or gone; and forgets the failures of those that last.
    fn compare(&mut self, wanted: &[PeerId], connected: &HashMap<PeerId, Duration>, now: Instant) {
        let lost: Vec<_> = self.since.keys().filter(|peer| !connected.contains_key(peer)).copied().collect();
        lost.iter().for_each(|peer| self.lost(peer));
        for (peer, age) in wanted.iter().filter_map(|peer| Some((peer, connected.get(peer)?))) {
            let since = *self.since.entry(*peer).or_insert(now.checked_sub(*age).unwrap_or(now));
            if since.elapsed() >= STABLE {
                self.service.lock().forget(peer);
            }
        }
    }

    /// Dials those whose wait is over, as many as there is room for, and sees to it that the others are next.
    fn dial(&mut self, mut waiting: Vec<PeerId>, now: Instant) {
        let backoffs = self.service.lock();
        let next = waiting.iter().filter_map(|peer| backoffs.until(peer, now)).min();
        waiting.retain(|peer| backoffs.until(peer, now).is_none());
        self.service.random.shuffle(&mut waiting);
        // Many that are dead do not hold up one that was lost just now.
        waiting.sort_by_key(|peer| backoffs.failures(peer));
        drop(backoffs);
        if let Some(next) = next {
            self.at(next);
        }
        let room = count(self.service.config.parallel).saturating_sub(self.dials.len());
        for peer in waiting.into_iter().take(room) {
            self.dials.start(Arc::clone(&self.node), peer, DialManner::of(DialPriority::Reconnect));
        }
    }
}

fn later(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}
