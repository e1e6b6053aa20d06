//! Who gets which answer, and when: from the dial itself, from the peer that connects meanwhile, or because it is over.

use super::{
    flight::{Flight, Waiter},
    lines::{End, Line},
    report::{AddrReport, DialError, Dialed},
    request::Accept,
};
use crate::connection::SwarmConn;
use skep_api::{PeerId, error::Fault};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a handshake of one's own may go on beside a connection that the peer has made meanwhile.
pub(super) const PATIENCE_WITH_OWN: Duration = Duration::from_secs(2);

impl Flight {
    /// Answers those who came when the dial had its connection.
    pub(super) fn take_won(&mut self) {
        if let Some(won) = self.won.clone().filter(SwarmConn::is_live) {
            self.answer(&won, true, |_| true);
        }
    }

    /// Answers from what the peer has connected by itself.
    ///
    /// When two nodes dial each other at the same time and both were content with what comes first, each could give up
    /// the very connection that the other takes. So the one with the greater id goes on for a moment once a connection
    /// of its own stands; the other one takes what comes.
    pub(super) fn take_arrivals(&mut self) {
        let (Some(peer), Some(_)) = (self.peer, &self.place) else { return };
        let under_way = self.lines.all.iter().any(Line::is_in_handshake);
        if self.node.local_peer > peer && under_way && self.won.is_none() {
            let begun = self.lines.begun;
            let arrived = self.node.best_of(&peer, |conn| conn.opened_at() >= begun).is_some();
            self.arrival = self.arrival.or_else(|| arrived.then(Instant::now));
            if self.arrival.is_none_or(|arrival| arrival.elapsed() < PATIENCE_WITH_OWN) {
                return;
            }
        }
        self.arrival = None;
        self.take_existing(peer, false);
    }

    /// Answers those for whom a connection that is there will do. When the dial has failed, a limited one is better than
    /// none.
    pub(super) fn take_existing(&mut self, peer: PeerId, failed: bool) {
        for accept in [Accept::Direct, Accept::PreferDirect, Accept::Any] {
            let content = if failed && accept == Accept::PreferDirect { Accept::Any } else { accept };
            if let Some(connection) = self.node.acceptable(&peer, content) {
                self.answer(&connection, true, |waiter| waiter.accept == accept);
            }
        }
    }

    pub(super) fn answer(&mut self, connection: &SwarmConn, existing: bool, which: impl Fn(&Waiter) -> bool) {
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
    pub(super) fn expire(&mut self) {
        self.waiters.retain(|waiter| !waiter.answer.is_closed());
        let now = Instant::now();
        if self.waiters.iter().all(|waiter| waiter.deadline > now) {
            return;
        }
        let (late, patient): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiters).into_iter().partition(|waiter| waiter.deadline <= now);
        // For those whose time is over, what is there is better than nothing.
        self.waiters = late;
        if let (Some(peer), Some(_)) = (self.peer, &self.place) {
            self.take_existing(peer, true);
        }
        let late = std::mem::replace(&mut self.waiters, patient);
        let error = DialError::all_failed(self.lines.report(self.peer, End::Deadline));
        for waiter in late {
            let _ = waiter.answer.send(Err(error.clone()));
        }
    }

    /// All addresses have failed.
    pub(super) fn fail(&mut self) {
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
        // What another dial would try says nothing either.
        let tells = report.addrs.iter().any(told) && !report.addrs.iter().any(AddrReport::is_spared);
        let error = DialError::all_failed(report);
        if let (Some(peer), true) = (self.peer, tells) {
            self.node.dialer.negative.failed(peer, &self.asked, error.code(), Instant::now());
        }
        for waiter in std::mem::take(&mut self.waiters) {
            let _ = waiter.answer.send(Err(error.clone()));
        }
    }
}
