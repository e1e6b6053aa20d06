//! Asking for a connection: what is there already, what is in flight, and only then a new dial.

use super::{
    flight::{Flight, Request, Waiter},
    flights::{InFlight, Interest, Key},
    later,
    lines::MAX_LINES,
    options::DialOptions,
    plan::{Given, Manner},
    report::{DialError, DialReport, Dialed},
};
use crate::{connection::SwarmConn, error::Cause, swarm::Inner};
use skep_api::{Multiaddr, PeerId, address, gate::Checkpoint, resources::LimitExceeded, security::Role};
use std::sync::Arc;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// As many at least may join one dial before it has taken them in.
const MIN_JOINING: u32 = 4096;

/// What a caller is told in the end.
pub(super) type Answer = Result<Dialed, DialError>;

/// What is to be dialled.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A peer, wherever it is known to be.
    Peer(PeerId),
    /// An address, whoever is there if it names no peer.
    Addr(Multiaddr),
}

impl Target {
    fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Peer(peer) => Some(*peer),
            Self::Addr(addr) => address::peer(addr),
        }
    }

    fn key(&self) -> Key {
        match self {
            Self::Peer(peer) => Key::Peer(*peer),
            Self::Addr(addr) => address::peer(addr).map_or_else(|| Key::Addr(addr.clone()), Key::Peer),
        }
    }
}

/// Which connections that are there already will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Direct ones, and a dial is to make no other.
    Direct,
    /// Direct ones; for a limited one there is still a dial.
    PreferDirect,
    /// Any.
    Any,
}

impl DialOptions {
    fn accept(&self) -> Accept {
        match (self.force_direct, self.allow_limited) {
            (true, _) => Accept::Direct,
            (false, true) => Accept::Any,
            (false, false) => Accept::PreferDirect,
        }
    }
}

impl Inner {
    /// Gives a connection to the target. Dropping the future ends the dial, unless others wait for it.
    pub(crate) async fn dial(
        self: &Arc<Self>,
        target: Target,
        options: DialOptions,
    ) -> Result<Dialed, DialError> {
        self.meters.dial(self.connection_to(target, options)).await
    }

    async fn connection_to(
        self: &Arc<Self>,
        target: Target,
        options: DialOptions,
    ) -> Result<Dialed, DialError> {
        let peer = target.peer();
        let refuse = |cause| Err(DialError::refused(peer, cause));
        if self.tasks.cancelled().is_cancelled() {
            return refuse(Cause::ShuttingDown);
        }
        if peer == Some(self.local_peer) {
            return refuse(Cause::OwnAddress);
        }
        let found = |connection| {
            let report = DialReport { peer, existing: true, ..DialReport::default() };
            Ok(Dialed { connection, report: Arc::new(report) })
        };
        if let Some(connection) = self.existing(&target, &options) {
            return found(connection);
        }
        if self.is_draining() {
            return refuse(Cause::ShuttingDown);
        }
        if options.no_dial {
            return refuse(Cause::NotConnected);
        }
        if let Some(Err(denied)) = peer.map(|peer| self.ask(&Checkpoint::PeerDial { peer: &peer }, None)) {
            return refuse(denied.cause);
        }
        if let Some(limit) = peer.filter(|_| options.always).and_then(|peer| self.limit_for(&peer)) {
            return refuse(Cause::Limit(limit));
        }
        let (answer, answered) = oneshot::channel();
        let request = self.request(&target, &options, answer);
        // Without a peer, nobody else may take what answers at addresses of this caller's.
        if options.always || (peer.is_none() && options.addresses.is_some()) {
            return self.dial_alone(peer, request, answered).await;
        }
        match self.join(target.key(), peer, request, &options) {
            Ok(_interest) => self.told(answered.await, peer),
            // A limited connection is better than none.
            Err(refusal) => {
                let limited = peer.filter(|_| !options.force_direct);
                let limited = limited.and_then(|peer| self.acceptable(&peer, Accept::Any));
                limited.map_or(Err(refusal), found)
            }
        }
    }

    /// A dial for one caller. It runs in a task, so that what it holds of the node's room does not wait for the caller.
    async fn dial_alone(
        self: &Arc<Self>,
        peer: Option<PeerId>,
        request: Request,
        answered: oneshot::Receiver<Answer>,
    ) -> Answer {
        if request.given.is_empty() {
            return Err(DialError::refused(peer, Cause::NoAddresses));
        }
        let (requests, receiver) = mpsc::channel(1);
        let _ = requests.try_send(request);
        let flight = Flight::new(Arc::clone(self), peer, None, receiver, Arc::new(Notify::new()));
        let cancel = CancellationToken::new();
        let _gone = cancel.clone().drop_guard();
        self.take_off(flight, cancel);
        self.told(answered.await, peer)
    }

    fn told(&self, answer: Result<Answer, oneshot::error::RecvError>, peer: Option<PeerId>) -> Answer {
        let refuse = |cause| Err(DialError::refused(peer, cause));
        match answer {
            Ok(answer) => answer,
            Err(_) if self.is_draining() => refuse(Cause::ShuttingDown),
            Err(_) => refuse(Cause::Panicked),
        }
    }

    /// A live connection that the caller would be content with.
    fn existing(&self, target: &Target, options: &DialOptions) -> Option<SwarmConn> {
        if options.always {
            return None;
        }
        match target.key() {
            Key::Peer(peer) => self.acceptable(&peer, options.accept()),
            Key::Addr(addr) => {
                let content = |conn: &SwarmConn| options.accept() == Accept::Any || !conn.is_limited();
                let there = |conn: &SwarmConn| conn.info().role == Role::Dialer && conn.info().remote == addr;
                self.all().into_iter().find(|conn| conn.is_live() && there(conn) && content(conn))
            }
        }
    }

    /// The best live connection to a peer among those that will do.
    pub(super) fn acceptable(&self, peer: &PeerId, accept: Accept) -> Option<SwarmConn> {
        self.best_of(peer, |conn| accept == Accept::Any || !conn.is_limited())
    }

    fn request(&self, target: &Target, options: &DialOptions, answer: oneshot::Sender<Answer>) -> Request {
        let now = Instant::now();
        let limit = self.dialer.settings().timeout.0;
        let limit = options.timeout.map_or(limit, |timeout| timeout.min(limit));
        let deadline = later(now, limit);
        let deadline = options.deadline.map_or(deadline, |wanted| wanted.min(deadline));
        let waiter = Waiter { accept: options.accept(), priority: options.priority, deadline, answer };
        let manner = Manner {
            by_caller: options.addresses.is_some() || matches!(target, Target::Addr(_)),
            force_direct: options.force_direct,
            has_relayed: !options.always
                && target.peer().is_some_and(|peer| self.acceptable(&peer, Accept::Any).is_some()),
            ignore_backoff: options.ignore_backoff,
        };
        let mut given = self.known(target, options);
        let omitted = given.len().saturating_sub(MAX_LINES);
        given.truncate(MAX_LINES);
        Request { given, omitted, manner, waiter }
    }

    /// The addresses to dial.
    fn known(&self, target: &Target, options: &DialOptions) -> Vec<Given> {
        let plain = |addr: &Multiaddr| Given { addr: addr.clone(), worked: false, resolved_from: None };
        match (target, &options.addresses, self.store()) {
            (Target::Addr(addr), Some(more), _) => std::iter::once(addr).chain(more).map(plain).collect(),
            (Target::Addr(addr), None, _) => vec![plain(addr)],
            (Target::Peer(_), Some(addrs), _) => addrs.iter().map(plain).collect(),
            (Target::Peer(peer), None, Some(store)) => {
                let known = store.addrs(peer).into_iter();
                known.map(|a| Given { worked: a.worked(), addr: a.addr, resolved_from: None }).collect()
            }
            (Target::Peer(_), None, None) => Vec::new(),
        }
    }

    /// Joins the dial in flight to the same target, or starts one.
    fn join(
        self: &Arc<Self>,
        key: Key,
        peer: Option<PeerId>,
        request: Request,
        options: &DialOptions,
    ) -> Result<Interest, DialError> {
        let refuse = |cause| Err(DialError::refused(peer, cause));
        let left_alone = self.left_alone(peer, &request).filter(|_| !options.ignore_backoff);
        let mut flights = self.dialer.flights.lock();
        if let Some(flight) = flights.get_mut(&key) {
            if flight.requests.try_send(request).is_err() {
                return refuse(Cause::Overloaded(LimitExceeded {
                    scope: "callers of one dial".into(),
                    current: flight.interested as u64,
                    limit: flight.requests.max_capacity() as u64,
                    key: "dial.max_queued".into(),
                }));
            }
            flight.interested = flight.interested.saturating_add(1);
            return Ok(Interest { node: Arc::clone(self), key, id: flight.id });
        }
        if request.given.is_empty() {
            return refuse(Cause::NoAddresses);
        }
        if let Some(cause) = left_alone {
            return refuse(cause);
        }
        let id = self.new_id();
        let (requests, receiver) = mpsc::channel(self.dialer.settings().max_queued.max(MIN_JOINING) as usize);
        // There is room for the first.
        let _ = requests.try_send(request);
        let (wake, cancel) = (Arc::new(Notify::new()), CancellationToken::new());
        let flight =
            Flight::new(Arc::clone(self), peer, Some((key.clone(), id)), receiver, Arc::clone(&wake));
        flights.insert(
            key.clone(),
            InFlight { id, requests, wake, interested: 1, since: Instant::now(), cancel: cancel.clone() },
        );
        drop(flights);
        self.take_off(flight, cancel);
        Ok(Interest { node: Arc::clone(self), key, id })
    }

    /// Why the peer should be left alone, if it should.
    fn left_alone(&self, peer: Option<PeerId>, request: &Request) -> Option<Cause> {
        let now = Instant::now();
        // A change of the network clears what is asked for next.
        self.dialer.host(now);
        let addrs: Vec<_> = request.given.iter().map(|given| address::without_peer(&given.addr)).collect();
        let failed = self.dialer.negative.check(&peer?, &addrs, now)?;
        Some(Cause::PeerBackoff { left: failed.until.saturating_duration_since(now), last: failed.last })
    }

    fn take_off(&self, flight: Flight, cancel: CancellationToken) {
        let stop = self.draining.clone();
        self.tasks.spawn("dial", async move {
            tokio::select! {
                // A dial that nobody waits for makes no connection any more.
                biased;
                () = cancel.cancelled() => {}
                () = stop.cancelled() => {}
                () = flight.run() => {}
            }
        });
    }
}
