//! What the dialler remembers between dials, to be looked at and cleared.

use super::{
    backoff::{Backoff, Curve, Negative},
    black_hole::{BlackHoles, PathState},
    budget::Budget,
    flights::{DialInFlight, Flights},
    interfaces::{self, Interfaces},
    retry::RetryConfig,
    settings::DialSettings,
};
use crate::tasks::Tasks;
use skep_api::{Multiaddr, PeerId, address, random::Random};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// Most names that are looked up at the same time by all dials of a node.
const MAX_LOOKUPS: usize = 64;

/// The dialler of a node.
#[derive(Debug)]
pub(crate) struct Dialer {
    settings: RwLock<(Arc<DialSettings>, Arc<RetryConfig>)>,
    pub(super) budget: Arc<Budget>,
    pub(super) backoff: Backoff,
    pub(super) negative: Negative,
    pub(super) black_holes: BlackHoles,
    /// Names that are looked up at the same time by all dials.
    pub(super) lookups: Arc<Semaphore>,
    pub(super) flights: Flights,
    interfaces: Interfaces,
    random: Random,
}

/// What the dialler of a node does and remembers at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DialState {
    /// Dials under way.
    pub in_flight: usize,
    /// Which these are, in no order.
    pub dials: Vec<DialInFlight>,
    /// Addresses that are being tried.
    pub outstanding: usize,
    /// Tries that wait for room.
    pub queued: usize,
    /// Addresses that are left alone because they failed.
    pub addrs: Vec<LeftAloneAddr>,
    /// Peers that are left alone because all of their addresses failed.
    pub peers: Vec<LeftAlonePeer>,
    /// The paths that are watched for swallowing packets.
    pub paths: Vec<PathState>,
}

/// An address that is left alone because it failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeftAloneAddr {
    /// The peer that was wanted there; `None` where the address was dialled without one.
    pub peer: Option<PeerId>,
    /// The address.
    pub addr: Multiaddr,
    /// Failures in a row.
    pub failures: u32,
    /// The code of the last failure.
    pub last: &'static str,
    /// How long it is still left alone.
    pub left: Duration,
}

/// A peer that is left alone because all of its addresses failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeftAlonePeer {
    /// The peer.
    pub peer: PeerId,
    /// The code of the failure that got furthest.
    pub last: &'static str,
    /// How long it is still left alone.
    pub left: Duration,
}

/// What the dialler should forget.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forget {
    /// All of it, what is known of paths included.
    All,
    /// What is remembered of one peer and of its addresses.
    Peer(PeerId),
    /// What is remembered of one address, whichever peer was wanted there. With `/p2p/…` that peer's only, and what is
    /// remembered of the peer.
    Addr(Multiaddr),
}

impl Dialer {
    pub(crate) fn new(settings: DialSettings, retry: RetryConfig, tasks: Tasks, random: Random) -> Self {
        Self::with_interfaces(settings, retry, tasks, random, interfaces::of_the_system)
    }

    fn with_interfaces(
        settings: DialSettings,
        retry: RetryConfig,
        tasks: Tasks,
        random: Random,
        look: fn() -> Option<BTreeSet<IpAddr>>,
    ) -> Self {
        let curve = Curve {
            base: settings.backoff_base.0,
            step: settings.backoff_step.0,
            max: settings.backoff_max.0,
        };
        Self {
            budget: Budget::new(settings.limits(), tasks),
            backoff: Backoff::new(curve, settings.backoff_entries),
            negative: Negative::new(settings.negative_ttl.0, settings.negative_entries),
            black_holes: BlackHoles::new(settings.black_hole_window, settings.black_hole_min_successes),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            flights: Flights::default(),
            interfaces: Interfaces::new(look),
            random,
            settings: RwLock::new((Arc::new(settings), Arc::new(retry))),
        }
    }

    /// The addresses of this host. If they have changed, what failed before may work now: it is forgotten.
    pub(super) fn host(&self, now: Instant) -> Arc<BTreeSet<IpAddr>> {
        let (ips, changed) = self.interfaces.current(now);
        if changed {
            tracing::info!("The addresses of this host have changed: what failed before is dialled again.");
            self.forget(&Forget::All);
        }
        ips
    }

    /// A connection was registered: the peer is there again.
    pub(crate) fn connected(&self, peer: PeerId) {
        self.negative.forget_peer(&peer);
        self.flights.arrived(peer);
    }

    /// From 0 to 1.
    pub(super) fn random(&self) -> f64 {
        self.random.unit()
    }

    /// The table `[dial]`, as it is now.
    pub(crate) fn settings(&self) -> Arc<DialSettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// The table `[retry]`, as it is now.
    pub(crate) fn retry(&self) -> Arc<RetryConfig> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Puts others in the place of both tables. What is under way keeps the room that it has.
    pub(crate) fn configure(&self, settings: DialSettings, retry: RetryConfig) {
        self.budget.set_limits(settings.limits());
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) =
            (Arc::new(settings), Arc::new(retry));
    }

    /// How long a dial may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.settings().timeout.0
    }

    pub(crate) fn state(&self) -> DialState {
        let now = Instant::now();
        let left = |until: Instant| until.saturating_duration_since(now);
        let (outstanding, queued) = self.budget.load();
        let addrs = self.backoff.list(now).into_iter().map(|(peer, addr, failures)| LeftAloneAddr {
            peer,
            addr,
            failures: failures.count,
            last: failures.last,
            left: left(failures.until),
        });
        let peers = self.negative.list(now).into_iter().map(|(peer, entry)| LeftAlonePeer {
            peer,
            last: entry.last,
            left: left(entry.until),
        });
        let dials = self.flights.list();
        DialState {
            in_flight: dials.len(),
            dials,
            outstanding,
            queued,
            addrs: addrs.collect(),
            peers: peers.collect(),
            paths: self.black_holes.states(),
        }
    }

    /// Forgets failures; how many addresses and peers were left alone because of them.
    pub(crate) fn forget(&self, what: &Forget) -> usize {
        let now = Instant::now();
        let (addrs, peers) = match what {
            Forget::All => {
                self.black_holes.reset();
                (self.backoff.forget(now, |_, _| true), self.negative.forget(now, |_| true))
            }
            Forget::Peer(wanted) => (
                self.backoff.forget(now, |peer, _| peer == Some(wanted)),
                self.negative.forget(now, |peer| peer == wanted),
            ),
            Forget::Addr(wanted) => {
                let (wanted, of) = (address::without_peer(wanted), address::peer(wanted));
                let addrs = self
                    .backoff
                    .forget(now, |peer, addr| *addr == wanted && of.is_none_or(|of| peer == Some(&of)));
                (addrs, self.negative.forget(now, |peer| of.is_some_and(|of| *peer == of)))
            }
        };
        addrs.saturating_add(peers)
    }
}
