//! A dial in flight: one task that races the addresses of a peer for all who want it.

use super::{
    answer::PATIENCE_WITH_OWN,
    attempt::{Attempt, Attempted},
    flights::Key,
    later,
    lines::{Line, LineState, Lines, MAX_LINES},
    names::Resolved,
    options::Priority,
    plan::{Given, Manner},
    race::{Race, Step},
    request::{Accept, Answer},
};
use crate::{connection::SwarmConn, swarm::Inner};
use futures::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use skep_api::{Multiaddr, PeerId, address};
use std::{collections::VecDeque, sync::Arc};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::Instant,
};

/// Somebody who wants a connection.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) given: Vec<Given>,
    /// Addresses beyond what one dial looks at.
    pub(super) omitted: usize,
    pub(super) manner: Manner,
    pub(super) waiter: Waiter,
}

/// Somebody who waits for the outcome.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) accept: Accept,
    pub(super) priority: Priority,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Answer>,
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
    /// Woken when an attempt is under way or its connection stands, and when the peer connects by itself.
    pub(super) wake: Arc<Notify>,
    /// Where others find it; `None` for a dial that is not shared.
    pub(super) place: Option<(Key, u64)>,
    requests: mpsc::Receiver<Request>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) attempts: FuturesUnordered<BoxFuture<'static, Attempted>>,
    /// The priority of the most urgent of all who have asked.
    urgency: watch::Sender<Priority>,
    /// The addresses as they were given, without the peer, for the memory of failures.
    pub(super) asked: Vec<Multiaddr>,
    /// The connection that it has made.
    pub(super) won: Option<SwarmConn>,
    /// When the peer was seen to have connected by itself.
    pub(super) arrival: Option<Instant>,
}

impl Flight {
    pub(super) fn new(
        node: Arc<Inner>,
        peer: Option<PeerId>,
        place: Option<(Key, u64)>,
        requests: mpsc::Receiver<Request>,
        wake: Arc<Notify>,
    ) -> Self {
        let limit = node.dialer.settings().max_outstanding_per_peer as usize;
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
            // In an order that does not depend on chance: none comes without end, and all is looked at after each.
            biased;
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
        let (after, crowded) = (self.node.dialer.settings().give_way_after.0, self.places_wanted() > 0);
        let room = self.lines.all.iter().filter(|_| crowded).filter_map(|line| line.gives_way_at(after));
        let deadlines = self.waiters.iter().map(|waiter| waiter.deadline);
        let arrival = self.arrival.map(|arrival| later(arrival, PATIENCE_WITH_OWN));
        start.into_iter().chain(retries).chain(room).chain(deadlines).chain(arrival).min()
    }

    fn request(&mut self, request: Request) {
        let Request { given, omitted, manner, waiter } = request;
        self.lines.omitted = self.lines.omitted.saturating_add(omitted);
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
        self.make_room(now);
    }

    /// How many addresses wait for the place of another, beside those that one is being cut off for.
    fn places_wanted(&self) -> usize {
        if self.race.has_room() || !self.race.is_paced() {
            return 0;
        }
        let count = |which: fn(&Line) -> bool| self.lines.all.iter().filter(|line| which(line)).count();
        count(Line::is_fresh).saturating_sub(count(|line| line.cut.is_cancelled()))
    }

    /// Cuts off addresses that have been silent for long, as many as others wait for their places.
    fn make_room(&mut self, now: Instant) {
        let (after, wanted) = (self.node.dialer.settings().give_way_after.0, self.places_wanted());
        let due = |line: &&mut Line| line.gives_way_at(after).is_some_and(|at| at <= now);
        for line in self.lines.all.iter_mut().filter(due).take(wanted) {
            line.gave_way = true;
            line.cut.cancel();
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
            cut: line.cut.clone(),
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
}

impl Drop for Flight {
    /// Also when the callers have gone, and when the task ends by a panic: the next dial to the peer is a new one.
    fn drop(&mut self) {
        if let Some((key, id)) = &self.place {
            self.node.dialer.flights.leave(key, *id, || true);
        }
        self.lines.all.iter().filter_map(Line::skipped).for_each(|why| self.node.meters.skipped(why));
        let there = self.peer.is_some_and(|peer| self.node.acceptable(&peer, Accept::Any).is_some());
        if self.won.is_none() && !there && !self.node.is_draining() {
            let running = |line: &&Line| matches!(line.state, LineState::Running) || line.is_silent();
            for line in self.lines.all.iter().filter(running) {
                self.node.dialer.given_up(line.expected(self.peer), line);
            }
        }
    }
}
