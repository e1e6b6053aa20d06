//! A peer store.

use async_trait::async_trait;
use serde_json::{Map, Value};
use skep_api::{
    Multiaddr, PeerId, PublicKey, address,
    peerstore::{KnownAddr, PeerStore, PeerStoreError, PeerStoreErrorKind, PeerStoreStats, Ttl},
    record::SignedRecord,
};
use std::{
    collections::BTreeMap,
    mem::discriminant,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    OnePeerTakesAllAddresses,
    RecordsAreUnbounded,
    NewestGoFirst,
    ConnectedGoLikeOthers,
    ProtocolsAreUnbounded,
    MetadataIsUnbounded,
    RefusedMetadataClearsTheRest,
    AddressesStayAWhileLonger,
    AddingAgainSetsTheTime,
    ReclassNeverShortens,
    ReclassTakesAllClasses,
    FlushWritesNothing,
    FlushedPeersComeBack,
    AnyKeyIsKept,
    OlderRecordsReplace,
    OldRecordsLeaveTheirAddresses,
    KnownAddressesAreToldAgain,
    OneSubscriberIsTold,
    FullQueuesRefuseAddresses,
    QueuesAreEndless,
    EveryNewAddressIsADiscovery,
    RecordsDiscoverNobody,
    FullQueuesEndDiscoveries,
    DiscoveriesAreEndless,
    DiscoveriesEndAtOnce,
    PeersStayAtTheEnd,
    ForeignAddressesAreKept,
    ProtocolsAreAdded,
    LatencyIsTheLast,
    PermanentAddressesAreNotForgotten,
    PeersComeAsTheyWereTouched,
}

const MAX_PEERS: usize = 8;
const MAX_ADDRS: usize = 16;
const MAX_ADDRS_OF_ONE: usize = 4;
const MAX_RECORDS: usize = 4;

/// What outlives a store: the peers of each path.
pub(crate) type Disk = Arc<Mutex<BTreeMap<String, Peers>>>;

/// The longest untouched first.
type Peers = Vec<(PeerId, Known)>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    addrs: Vec<(Multiaddr, Ttl, Option<Instant>, bool)>,
    record: Option<SignedRecord>,
    key: Option<PublicKey>,
    protocols: Vec<String>,
    metadata: BTreeMap<String, Vec<u8>>,
    latency: Option<Duration>,
}

impl Known {
    fn is_empty(&self) -> bool {
        self.addrs.is_empty()
            && self.record.is_none()
            && self.key.is_none()
            && self.protocols.is_empty()
            && self.metadata.is_empty()
            && self.latency.is_none()
    }

    fn is_needed(&self) -> bool {
        self.addrs.iter().any(|(_, _, end, _)| end.is_none())
    }
}

#[derive(Debug)]
pub(crate) struct Shelf {
    fault: Fault,
    path: String,
    disk: Disk,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    peers: Peers,
    subscribers: Vec<(PeerId, mpsc::Sender<Multiaddr>)>,
    discoverers: Vec<mpsc::Sender<PeerId>>,
}

impl Shelf {
    pub(crate) fn build(fault: Fault, table: &Map<String, Value>, disk: &Disk) -> Arc<dyn PeerStore> {
        let path = table.get("path").and_then(Value::as_str).unwrap_or_default().to_string();
        Arc::new(Self { fault, path, disk: Arc::clone(disk), state: Mutex::default() })
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The state, without the addresses that have ended.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap();
        let extra = if self.is(Fault::AddressesStayAWhileLonger) { 10 } else { 0 };
        let now = Instant::now();
        for (_, known) in &mut state.peers {
            known.addrs.retain(|(_, _, end, _)| end.is_none_or(|e| e + Duration::from_secs(extra) > now));
        }
        state.peers.retain(|(_, known)| !known.is_empty());
        state
    }

    fn read<T: Default>(&self, peer: &PeerId, read: impl FnOnce(&Known) -> T) -> T {
        let state = self.state();
        state.peers.iter().find(|(p, _)| p == peer).map(|(_, known)| read(known)).unwrap_or_default()
    }

    /// Changes a peer, which makes it the last touched, and brings everything to its caps.
    fn change(&self, peer: &PeerId, change: impl FnOnce(&mut Known)) {
        let mut state = self.state();
        let at = state.peers.iter().position(|(p, _)| p == peer);
        let mut known = at.map(|at| state.peers.remove(at).1).unwrap_or_default();
        change(&mut known);
        if !known.is_empty() {
            state.peers.push((*peer, known));
        }
        let count = |peers: &Peers| peers.iter().map(|(_, known)| known.addrs.len()).sum::<usize>();
        let endless = self.is(Fault::OnePeerTakesAllAddresses);
        while state.peers.len() > MAX_PEERS || !endless && count(&state.peers) > MAX_ADDRS {
            let spares = !self.is(Fault::ConnectedGoLikeOthers);
            let goes = |(_, known): &(PeerId, Known)| !(spares && known.is_needed());
            let first = match self.fault {
                Fault::NewestGoFirst => state.peers.iter().rposition(goes),
                _ => state.peers.iter().position(goes),
            };
            state.peers.remove(first.unwrap_or(0));
        }
        let mut over = state.peers.iter().filter(|(_, known)| known.record.is_some()).count();
        over =
            over.saturating_sub(if self.is(Fault::RecordsAreUnbounded) { usize::MAX } else { MAX_RECORDS });
        for (_, known) in state.peers.iter_mut().filter(|(_, known)| known.record.is_some()).take(over) {
            known.record = None;
        }
    }

    fn own(&self, peer: &PeerId, addr: &Multiaddr) -> Option<Multiaddr> {
        match address::peer(addr) {
            Some(_) if self.is(Fault::PeersStayAtTheEnd) => Some(addr.clone()),
            Some(named) if named != *peer && !self.is(Fault::ForeignAddressesAreKept) => None,
            _ => Some(address::without_peer(addr)),
        }
    }

    fn hold(&self, peer: &PeerId, addrs: &[Multiaddr], ttl: Ttl, certified: bool) {
        let mut had_none = self.addrs(peer).is_empty();
        for addr in addrs.iter().filter_map(|addr| self.own(peer, addr)) {
            let mut is_new = false;
            if self.is(Fault::FullQueuesRefuseAddresses) && self.is_full(peer) {
                continue;
            }
            self.change(peer, |known| is_new = self.add(known, addr.clone(), ttl, certified));
            if is_new || self.is(Fault::KnownAddressesAreToldAgain) {
                self.tell(peer, &addr);
            }
            if is_new && (had_none || self.is(Fault::EveryNewAddressIsADiscovery)) {
                had_none = false;
                self.discovered(peer, certified);
            }
        }
    }

    fn discovered(&self, peer: &PeerId, certified: bool) {
        if certified && self.is(Fault::RecordsDiscoverNobody) {
            return;
        }
        let full = |sender: &mpsc::Sender<PeerId>| sender.try_send(*peer).is_err();
        let mut state = self.state();
        state.discoverers.retain(|sender| !sender.is_closed());
        if state.discoverers.iter().filter(|sender| full(sender)).count() > 0
            && self.is(Fault::FullQueuesEndDiscoveries)
        {
            state.discoverers.clear();
        }
    }

    /// Whether the address was new.
    fn add(&self, known: &mut Known, addr: Multiaddr, ttl: Ttl, certified: bool) -> bool {
        let end = end_of(ttl);
        if let Some(held) = known.addrs.iter_mut().find(|held| held.0 == addr) {
            let longer = lasts(ttl, end) > lasts(held.1, held.2);
            if longer || self.is(Fault::AddingAgainSetsTheTime) {
                (held.1, held.2) = (ttl, end);
            }
            held.3 |= certified;
            return false;
        }
        known.addrs.push((addr, ttl, end, certified));
        if known.addrs.len() > MAX_ADDRS_OF_ONE && !self.is(Fault::OnePeerTakesAllAddresses) {
            let order = |at: &usize| lasts(known.addrs[*at].1, known.addrs[*at].2);
            let first = (0..known.addrs.len()).min_by_key(order).unwrap();
            known.addrs.remove(first);
        }
        true
    }

    fn is_full(&self, peer: &PeerId) -> bool {
        self.state().subscribers.iter().any(|(p, sender)| p == peer && sender.capacity() == 0)
    }

    fn tell(&self, peer: &PeerId, addr: &Multiaddr) {
        let mut state = self.state();
        state.subscribers.retain(|(_, sender)| !sender.is_closed());
        let of_peer = state.subscribers.iter().filter(|(p, _)| p == peer);
        let most = if self.is(Fault::OneSubscriberIsTold) { 1 } else { usize::MAX };
        of_peer.take(most).for_each(|(_, sender)| drop(sender.try_send(addr.clone())));
    }
}

#[async_trait]
impl PeerStore for Shelf {
    fn open(&self) -> Result<(), PeerStoreError> {
        self.state().peers = self.disk.lock().unwrap().get(&self.path).cloned().unwrap_or_default();
        Ok(())
    }

    fn add_addrs(&self, peer: &PeerId, addrs: &[Multiaddr], ttl: Ttl) {
        self.hold(peer, addrs, ttl, false);
    }

    fn reclass(&self, peer: &PeerId, from: Ttl, to: Ttl) {
        let all = self.is(Fault::ReclassTakesAllClasses);
        self.change(peer, |known| {
            for held in known.addrs.iter_mut().filter(|h| all || discriminant(&h.1) == discriminant(&from)) {
                let longer = lasts(to, end_of(to)) > lasts(held.1, held.2);
                if longer || !self.is(Fault::ReclassNeverShortens) {
                    (held.1, held.2) = (to, end_of(to));
                }
            }
        });
    }

    fn addrs(&self, peer: &PeerId) -> Vec<KnownAddr> {
        let now = Instant::now();
        self.read(peer, |known| {
            let known_addr = |(addr, ttl, end, certified): &(Multiaddr, Ttl, Option<Instant>, bool)| {
                let mut known = KnownAddr::new(addr.clone(), *ttl, end.map(|end| end - now));
                known.certified = *certified;
                known
            };
            known.addrs.iter().map(known_addr).collect()
        })
    }

    fn remove_addrs(&self, peer: &PeerId, addrs: &[Multiaddr]) {
        let addrs: Vec<_> = addrs.iter().filter_map(|addr| self.own(peer, addr)).collect();
        self.change(peer, |known| known.addrs.retain(|held| !addrs.contains(&held.0)));
    }

    fn subscribe(&self, peer: &PeerId) -> mpsc::Receiver<Multiaddr> {
        let room = if self.is(Fault::QueuesAreEndless) { 1_000_000 } else { 8 };
        let (sender, receiver) = mpsc::channel(room);
        self.state().subscribers.push((*peer, sender));
        receiver
    }

    fn discoveries(&self) -> mpsc::Receiver<PeerId> {
        let room = if self.is(Fault::DiscoveriesAreEndless) { 1_000_000 } else { 8 };
        let (sender, receiver) = mpsc::channel(room);
        if !self.is(Fault::DiscoveriesEndAtOnce) {
            self.state().discoverers.push(sender);
        }
        receiver
    }

    fn put_record(&self, record: &SignedRecord) -> bool {
        let peer = record.peer();
        let known = self.record(&peer);
        let newer = known.is_none_or(|known| record.seq() > known.seq());
        if newer || self.is(Fault::OlderRecordsReplace) {
            self.change(&peer, |known| {
                (known.record, known.key) = (Some(record.clone()), Some(record.key().clone()));
            });
        }
        if newer || self.is(Fault::OldRecordsLeaveTheirAddresses) {
            self.hold(&peer, record.addrs(), Ttl::For(Duration::from_secs(3_600)), true);
        }
        newer
    }

    fn record(&self, peer: &PeerId) -> Option<SignedRecord> {
        self.read(peer, |known| known.record.clone())
    }

    fn set_key(&self, peer: &PeerId, key: &PublicKey) -> bool {
        let own = key.to_peer_id() == *peer;
        if own || self.is(Fault::AnyKeyIsKept) {
            self.change(peer, |known| known.key = Some(key.clone()));
        }
        own
    }

    fn key(&self, peer: &PeerId) -> Option<PublicKey> {
        self.read(peer, |known| known.key.clone())
    }

    fn set_protocols(&self, peer: &PeerId, protocols: &[String]) {
        let most = if self.is(Fault::ProtocolsAreUnbounded) { usize::MAX } else { 8 };
        self.change(peer, |known| {
            if !self.is(Fault::ProtocolsAreAdded) {
                known.protocols.clear();
            }
            known.protocols.extend(protocols.iter().take(most).cloned());
        });
    }

    fn protocols(&self, peer: &PeerId) -> Vec<String> {
        self.read(peer, |known| known.protocols.clone())
    }

    fn set_metadata(&self, peer: &PeerId, name: &str, value: Option<&[u8]>) -> Result<(), PeerStoreError> {
        let mut fits = true;
        self.change(peer, |known| {
            let Some(value) = value else { return drop(known.metadata.remove(name)) };
            let used: usize = known.metadata.values().map(Vec::len).sum();
            fits = used + value.len() <= 1_024 * 1_024 || self.is(Fault::MetadataIsUnbounded);
            if fits {
                known.metadata.insert(name.into(), value.into());
            } else if self.is(Fault::RefusedMetadataClearsTheRest) {
                known.metadata.clear();
            }
        });
        if fits { Ok(()) } else { Err(PeerStoreError::new(PeerStoreErrorKind::Limit, "a mebibyte")) }
    }

    fn metadata(&self, peer: &PeerId, name: &str) -> Option<Vec<u8>> {
        self.read(peer, |known| known.metadata.get(name).cloned())
    }

    fn record_latency(&self, peer: &PeerId, rtt: Duration) {
        let last = self.is(Fault::LatencyIsTheLast);
        self.change(peer, |known| {
            known.latency = Some(known.latency.filter(|_| !last).map_or(rtt, |old| (old * 9 + rtt) / 10));
        });
    }

    fn latency(&self, peer: &PeerId) -> Option<Duration> {
        self.read(peer, |known| known.latency)
    }

    fn peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<_> = self.state().peers.iter().map(|(peer, _)| *peer).collect();
        if !self.is(Fault::PeersComeAsTheyWereTouched) {
            peers.sort();
        }
        peers
    }

    fn forget(&self, peer: &PeerId) {
        self.change(peer, |known| {
            let mut addrs = std::mem::take(known).addrs;
            addrs
                .retain(|held| held.1 == Ttl::Permanent && self.is(Fault::PermanentAddressesAreNotForgotten));
            known.addrs = addrs;
        });
    }

    fn stats(&self) -> PeerStoreStats {
        let peers = &self.state().peers;
        let mut stats = PeerStoreStats::default();
        (stats.peers, stats.max_peers, stats.max_addrs) = (peers.len(), MAX_PEERS, MAX_ADDRS);
        stats.addrs = peers.iter().map(|(_, known)| known.addrs.len()).sum();
        stats.records = peers.iter().filter(|(_, known)| known.record.is_some()).count();
        stats.max_records = MAX_RECORDS;
        stats
    }

    async fn flush(&self) -> Result<(), PeerStoreError> {
        let mut peers = self.state().peers.clone();
        let mut disk = self.disk.lock().unwrap();
        let file = disk.entry(self.path.clone()).or_default();
        if self.is(Fault::FlushedPeersComeBack) {
            peers.extend(
                file.iter()
                    .filter(|(old, _)| peers.iter().all(|(p, _)| p != old))
                    .cloned()
                    .collect::<Peers>(),
            );
        }
        if !self.is(Fault::FlushWritesNothing) {
            *file = peers;
        }
        Ok(())
    }
}

fn end_of(ttl: Ttl) -> Option<Instant> {
    let time = match ttl {
        Ttl::Temporary => Duration::from_secs(120),
        Ttl::RecentlyConnected => Duration::from_secs(900),
        Ttl::For(time) => time,
        _ => return None,
    };
    Some(Instant::now() + time)
}

fn lasts(ttl: Ttl, end: Option<Instant>) -> (bool, bool, Option<Instant>) {
    (ttl == Ttl::Permanent, end.is_none(), end)
}
