//! A dial in flight: one task that races the addresses of a peer for all who want it.

use super::{
    attempt::{Attempt, Attempted, is_wrong_peer},
    later,
    lines::{End, Line, LineState, Lines, MAX_LINES},
    options::Priority,
    plan::{Given, Manner, Resolved},
    race::{Race, Step},
    report::{AddrOutcome, AddrReport, DialError, Dialed},
    request::{Accept, Key},
};
use crate::{
    connection::SwarmConn,
    error::{AttemptError, Cause, Stage},
    pipeline::admit::Approved,
    swarm::Inner,
};
use futures::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use skep_api::{
    Multiaddr, PeerId, address,
    error::{Fault, Retry},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::Instant,
};

/// How long a handshake of one's own may go on beside a connection that the peer has made meanwhile.
const PATIENCE_WITH_OWN: Duration = Duration::from_secs(2);

/// Somebody who wants a connection.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) given: Vec<Given>,
    pub(super) manner: Manner,
    pub(super) waiter: Waiter,
}

/// Somebody who waits for the outcome.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) accept: Accept,
    pub(super) priority: Priority,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<Dialed, DialError>>,
}

/// One dial, from the first who asks to the last who is answered.
pub(super) struct Flight {
    pub(super) node: Arc<Inner>,
    pub(super) peer: Option<PeerId>,
    pub(super) lines: Lines,
    pub(super) race: Race,
    /// Names that wait to be looked up.
    pub(super) names: VecDeque<(usize, Manner)>,
    pub(super) resolving: FuturesUnordered<BoxFuture<'static, Resolved>>,
    /// Woken when an attempt makes progress, and when the peer connects by itself.
    pub(super) wake: Arc<Notify>,
    /// Where others find it; `None` for a dial that is not shared.
    place: Option<(Key, u64)>,
    requests: mpsc::Receiver<Request>,
    waiters: Vec<Waiter>,
    attempts: FuturesUnordered<BoxFuture<'static, Attempted>>,
    /// The priority of the most urgent waiter.
    urgency: watch::Sender<Priority>,
    /// The addresses as they were given, without the peer, for the memory of failures.
    asked: Vec<Multiaddr>,
    /// The connection that it has made.
    won: Option<SwarmConn>,
    /// When the peer was seen to have connected by itself.
    arrival: Option<Instant>,
}

impl Flight {
    pub(super) fn new(
        node: Arc<Inner>,
        peer: Option<PeerId>,
        place: Option<(Key, u64)>,
        requests: mpsc::Receiver<Request>,
        wake: Arc<Notify>,
    ) -> Self {
        let limit = node.dialer.settings.max_outstanding_per_peer as usize;
        Self {
            peer,
            lines: Lines::new(),
            race: Race::new(limit, Instant::now()),
            names: VecDeque::new(),
            resolving: FuturesUnordered::new(),
            wake,
            place,
            requests,
            waiters: Vec::new(),
            attempts: FuturesUnordered::new(),
            urgency: watch::Sender::new(Priority::AutoConnect),
            asked: Vec::new(),
            won: None,
            arrival: None,
            node,
        }
    }

    /// Runs until everybody has an answer. Dropping the future closes all sockets of the dial.
    pub(super) async fn run(mut self) {
        loop {
            while let Ok(request) = self.requests.try_recv() {
                self.request(request);
            }
            self.watch_attempts();
            self.take_won();
            self.take_arrivals();
            self.expire();
            if self.waiters.is_empty() {
                if self.leave() {
                    return;
                }
                continue;
            }
            self.start();
            if self.is_over() && self.leave() {
                return self.fail();
            }
            self.wait().await;
        }
    }

    /// Waits for something to happen, and takes it in.
    async fn wait(&mut self) {
        let next = self.next_moment();
        let at = async {
            match next {
                Some(moment) => tokio::time::sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(attempted) = self.attempts.next() => self.attempted(attempted),
            Some(resolved) = self.resolving.next() => self.resolved(resolved),
            Some(request) = self.requests.recv() => self.request(request),
            () = self.wake.notified() => {}
            () = at => {}
        }
    }

    /// When something is due by itself.
    fn next_moment(&self) -> Option<Instant> {
        let now = Instant::now();
        let start = match self.race.peek(now) {
            Step::WaitUntil(moment) => Some(moment),
            // Due since the last look.
            Step::Start(_) => Some(now),
            Step::Wait | Step::Empty => None,
        };
        let retries = self.lines.all.iter().filter_map(|line| match line.state {
            LineState::Retrying(_, at) if self.race.has_room() => Some(at),
            _ => None,
        });
        let deadlines = self.waiters.iter().map(|waiter| waiter.deadline);
        let arrival = self.arrival.map(|arrival| later(arrival, PATIENCE_WITH_OWN));
        start.into_iter().chain(retries).chain(deadlines).chain(arrival).min()
    }

    fn request(&mut self, request: Request) {
        let Request { given, manner, waiter } = request;
        if waiter.priority > *self.urgency.borrow() {
            self.urgency.send_replace(waiter.priority);
        }
        self.waiters.push(waiter);
        for given in &given {
            let addr = address::without_peer(&given.addr);
            if self.asked.len() < MAX_LINES && !self.asked.contains(&addr) {
                self.asked.push(addr);
            }
        }
        self.plan(given, manner);
    }

    /// Starts what is due.
    fn start(&mut self) {
        let now = Instant::now();
        let due = |line: &Line| matches!(&line.state, LineState::Retrying(_, at) if *at <= now);
        for position in 0..self.lines.all.len() {
            if self.race.has_room() && self.lines.all.get(position).is_some_and(due) {
                self.race.started(now);
                self.attempt(position);
            }
        }
        while let Step::Start(position) = self.race.next(now) {
            self.attempt(position);
        }
    }

    fn attempt(&mut self, position: usize) {
        let Some(line) = self.lines.all.get_mut(position) else { return };
        let Some(target) = line.run() else { return };
        let attempt = Attempt {
            line: position,
            target,
            expected: line.expected(self.peer),
            priority: self.urgency.subscribe(),
            progress: Arc::clone(&line.progress),
        };
        self.attempts.push(Box::pin(attempt.run(Arc::clone(&self.node))));
    }

    /// Gives those whose connection stands their head start.
    fn watch_attempts(&mut self) {
        for line in &mut self.lines.all {
            if line.is_in_handshake()
                && let Some(head_start) = line.head_start.take()
            {
                self.race.connected(head_start, Instant::now());
            }
        }
    }

    fn attempted(&mut self, attempted: Attempted) {
        let Attempted { line, target, result } = attempted;
        let established = match result {
            Ok(established) => established,
            Err(error) => return self.failed(line, target, error),
        };
        let found = established.info.peer;
        match self.node.register(established) {
            Ok(connection) => self.connected(line, &connection),
            Err(error) => {
                self.failed(line, target, error);
                // The peer may have come first and taken the last place there was for it.
                if self.place.is_some() {
                    self.take_existing(found, false);
                }
            }
        }
    }

    fn connected(&mut self, position: usize, connection: &SwarmConn) {
        self.race.ended();
        let Some(line) = self.lines.all.get_mut(position) else { return };
        line.end(AddrOutcome::Connected { connection: connection.id() });
        let started = line.progress.started();
        self.node.dialer.succeeded(line.expected(self.peer), &line.addr);
        self.won = Some(connection.clone());
        self.answer(connection, false, |_| true);
        if self.waiters.is_empty() {
            for line in self.lines.all.iter().filter(|line| matches!(line.state, LineState::Running)) {
                self.node.dialer.outrun(line, started);
            }
        }
    }

    fn failed(&mut self, position: usize, target: Approved, error: AttemptError) {
        if self.put_back(position, &target, &error) {
            return;
        }
        self.race.failed();
        let (now, begun) = (Instant::now(), self.lines.begun);
        let Some(line) = self.lines.all.get_mut(position) else { return };
        let dialer = &self.node.dialer;
        let retry = (error.cause.retry() == Retry::Soon)
            .then(|| dialer.retry.delay(line.retries, dialer.random()))
            .flatten()
            .map(|delay| later(now, delay))
            .filter(|at| *at <= later(begun, dialer.retry.max_elapsed.0));
        if let Some(at) = retry {
            return line.retry(target, at, error);
        }
        let expected = line.expected(self.peer);
        dialer.failed(expected, &line.addr, &error);
        if let (Some(expected), None, true) = (expected, &line.resolved_from, is_wrong_peer(&error)) {
            // Only this address: one that is stale, or a lie, must not cost the peer the others. A name may lead to
            // the peer tomorrow.
            self.node.forget_addr(&expected, &line.addr);
        }
        if line.progress.started().is_some() {
            line.end(AddrOutcome::Failed(Arc::new(error)));
        } else {
            line.skip(error);
        }
    }

    /// Lets an address wait that found no room for one more connection, if others of this dial take that room: when one of
    /// them ends there is some again.
    fn put_back(&mut self, position: usize, target: &Approved, error: &AttemptError) -> bool {
        let full = matches!((error.stage, &error.cause), (Stage::Queue, Cause::Limit(_)));
        let running = self.lines.all.iter().filter(|line| matches!(line.state, LineState::Running)).count();
        let Some(line) = self.lines.all.get_mut(position).filter(|_| full && running > 1) else {
            return false;
        };
        line.state = LineState::Waiting(target.clone());
        self.race.ended();
        self.race.put_back(position);
        true
    }

    /// Answers those who came when the dial had its connection.
    fn take_won(&mut self) {
        if let Some(won) = self.won.clone().filter(SwarmConn::is_live) {
            self.answer(&won, true, |_| true);
        }
    }

    /// Answers from what the peer has connected by itself.
    ///
    /// When two nodes dial each other at the same time and both were content with what comes first, each could give up
    /// the very connection that the other takes. So the one with the greater id goes on for a moment once a connection
    /// of its own stands; the other one takes what comes.
    fn take_arrivals(&mut self) {
        let (Some(peer), Some(_)) = (self.peer, &self.place) else { return };
        let under_way = self.lines.all.iter().any(Line::is_in_handshake);
        if self.node.local_peer > peer && under_way && self.won.is_none() {
            if self.node.acceptable(&peer, Accept::Any).is_none() {
                self.arrival = None;
                return;
            }
            let arrival = *self.arrival.get_or_insert_with(Instant::now);
            if arrival.elapsed() < PATIENCE_WITH_OWN {
                return;
            }
        }
        self.arrival = None;
        self.take_existing(peer, false);
    }

    /// Answers those for whom a connection that is there will do. When the dial has failed, a limited one is better than
    /// none.
    fn take_existing(&mut self, peer: PeerId, failed: bool) {
        for accept in [Accept::Direct, Accept::PreferDirect, Accept::Any] {
            let content = if failed && accept == Accept::PreferDirect { Accept::Any } else { accept };
            if let Some(connection) = self.node.acceptable(&peer, content) {
                self.answer(&connection, true, |waiter| waiter.accept == accept);
            }
        }
    }

    fn answer(&mut self, connection: &SwarmConn, existing: bool, which: impl Fn(&Waiter) -> bool) {
        let served = |waiter: &Waiter| {
            // A relayed connection is what a dial gives when there is no other, but never to one who wants a direct one.
            which(waiter) && (waiter.accept != Accept::Direct || !connection.is_limited())
        };
        let (served, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiters).into_iter().partition(|waiter| served(waiter));
        self.waiters = waiting;
        if served.is_empty() {
            return;
        }
        let mut report = self.lines.report(self.peer, End::Over);
        report.existing = existing;
        let dialed = Dialed { connection: connection.clone(), report: Arc::new(report) };
        for waiter in served {
            // Whoever has stopped waiting has an answer of their own.
            let _ = waiter.answer.send(Ok(dialed.clone()));
        }
    }

    /// Answers those whose time is over, and forgets those who have gone.
    fn expire(&mut self) {
        self.waiters.retain(|waiter| !waiter.answer.is_closed());
        let now = Instant::now();
        if self.waiters.iter().all(|waiter| waiter.deadline > now) {
            return;
        }
        if let (Some(peer), Some(_)) = (self.peer, &self.place) {
            self.take_existing(peer, true);
        }
        let (late, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiters).into_iter().partition(|waiter| waiter.deadline <= now);
        self.waiters = waiting;
        let error = DialError::all_failed(self.lines.report(self.peer, End::Deadline));
        for waiter in late {
            let _ = waiter.answer.send(Err(error.clone()));
        }
    }

    fn is_over(&self) -> bool {
        !self.lines.all.iter().any(Line::is_open)
    }

    /// Takes the dial out of sight, unless somebody has joined it at the last moment.
    fn leave(&mut self) -> bool {
        match &self.place {
            None => true,
            Some((key, id)) => self.node.dialer.flights.leave(key, *id, || self.requests.is_empty()),
        }
    }

    /// All addresses have failed.
    fn fail(&mut self) {
        if let (Some(peer), Some(_)) = (self.peer, &self.place) {
            self.take_existing(peer, true);
        }
        if self.waiters.is_empty() {
            return;
        }
        let report = self.lines.report(self.peer, End::Over);
        // What this node did to itself says nothing about the peer.
        let told = |addr: &AddrReport| {
            addr.started.is_some() && addr.outcome.error().is_some_and(|e| e.cause.fault() != Fault::Local)
        };
        let tells = report.addrs.iter().any(told);
        let error = DialError::all_failed(report);
        if let (Some(peer), true) = (self.peer, tells) {
            self.node.dialer.negative.failed(peer, &self.asked, error.code(), Instant::now());
        }
        for waiter in std::mem::take(&mut self.waiters) {
            let _ = waiter.answer.send(Err(error.clone()));
        }
    }
}

impl Drop for Flight {
    /// Also when the callers have gone, and when the task ends by a panic: the next dial to the peer is a new one.
    fn drop(&mut self) {
        if let Some((key, id)) = &self.place {
            self.node.dialer.flights.leave(key, *id, || true);
        }
        if self.won.is_none() {
            for line in self.lines.all.iter().filter(|line| matches!(line.state, LineState::Running)) {
                self.node.dialer.given_up(line.expected(self.peer), line);
            }
        }
    }
}
