//! The connections that are watched: one entry for each live one, whose number the node bounds.

use super::{
    config::Config,
    ping::Pinged,
    score::{ConnectionHealth, HealthState, NoAnswer, Seen},
    timeout::AdaptiveTimeout,
};
use skep_api::{PeerId, random::Random, selector::ConnectionView};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// By how much a ping may come early or late, as a share of the interval.
const JITTER: f64 = 0.1;

/// The watched connections by id, and when each is pinged next.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) connections: BTreeMap<u64, Watched>,
    due: BTreeSet<(Instant, u64)>,
}

/// One watched connection.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) peer: PeerId,
    pub(super) health: ConnectionHealth,
    pub(super) timeout: AdaptiveTimeout,
    pub(super) turn: Turn,
    /// The peer does not serve pings: the muxer's round trip counts instead.
    pub(super) refused: bool,
    /// A ping has come back on it.
    answered: bool,
    pub(super) limited: bool,
    /// Streams in use, when it was last looked at.
    pub(super) busy: usize,
    /// It is being closed because there is a better one: it is not pinged, so that it can fall idle.
    pub(super) leaving: bool,
    /// Turns that have ended in a judgement, or in none because there was nothing to judge by.
    pub(super) turns: u64,
    opened: u64,
    failed: u64,
}

/// Where a connection is between one judgement and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its turn comes then.
    Waits(Instant),
    /// It is pinged.
    Pinged,
    /// It can be judged; `None` if it is not pinged.
    Ended(Option<Pinged>),
}

/// A connection whose turn it is to be pinged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) connection: u64,
    pub(super) limit: Duration,
}

impl Table {
    /// Nothing is under way: gives every connection a new turn within the interval. What was learnt stays.
    pub(super) fn begin(&mut self, config: &Config, random: &Random, now: Instant) {
        self.due.clear();
        for (id, watched) in &mut self.connections {
            watched.leaving = false;
            let at = now + config.interval.0.mul_f64(random.unit());
            watched.turn = Turn::Waits(at);
            self.due.insert((at, *id));
        }
    }

    /// Compares with the live connections, and judges those whose turn has ended.
    pub(super) fn look(&mut self, views: &[ConnectionView], config: &Config, random: &Random, now: Instant) {
        let live: BTreeSet<u64> = views.iter().map(|view| view.id).collect();
        self.connections.retain(|id, _| live.contains(id));
        self.due.retain(|(_, id)| live.contains(id));
        for view in views {
            if !self.connections.contains_key(&view.id) {
                // Spread over the interval, so that a node that has just started does not ping all at once.
                self.insert(view, now + config.interval.0.mul_f64(random.unit()));
            }
            let Some(watched) = self.connections.get_mut(&view.id) else { continue };
            (watched.limited, watched.busy) = (view.limited, view.busy);
            if let Turn::Ended(pinged) = watched.turn {
                watched.judge(view, pinged, config);
                let at = now + config.interval.0.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.unit());
                watched.turn = Turn::Waits(at);
                self.due.insert((at, view.id));
            }
        }
    }

    fn insert(&mut self, view: &ConnectionView, at: Instant) {
        self.due.insert((at, view.id));
        self.connections.insert(view.id, Watched::new(view, at));
    }

    /// Takes the next connection that is to be pinged now, if there is one.
    pub(super) fn next_due(&mut self, config: &Config, now: Instant) -> Option<Due> {
        while let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, id));
            let Some(watched) = self.connections.get_mut(&id) else { continue };
            // A limited connection has no bytes to spare.
            if watched.refused || watched.limited || watched.leaving {
                watched.turn = Turn::Ended(None);
                continue;
            }
            watched.turn = Turn::Pinged;
            return Some(Due { connection: id, limit: watched.timeout.next(config) });
        }
        None
    }

    /// A ping has ended. The peer, if the connection is still watched.
    pub(super) fn pinged(&mut self, connection: u64, pinged: Pinged) -> Option<PeerId> {
        let watched = self.connections.get_mut(&connection)?;
        if watched.turn == Turn::Pinged {
            watched.turn = Turn::Ended(Some(pinged));
        }
        Some(watched.peer)
    }

    /// Judges a connection by a ping out of turn, whether or not it is watched already.
    pub(super) fn judge_now(&mut self, view: &ConnectionView, pinged: Pinged, config: &Config, now: Instant) {
        if !self.connections.contains_key(&view.id) {
            self.insert(view, now + config.interval.0);
        }
        if let Some(watched) = self.connections.get_mut(&view.id) {
            watched.judge(view, Some(pinged), config);
        }
    }

    /// How many connections there are of each state, in the order of [`HealthState::ALL`].
    pub(super) fn states(&self) -> [usize; 4] {
        HealthState::ALL
            .map(|state| self.connections.values().filter(|watched| watched.health.state() == state).count())
    }
}

impl Watched {
    fn new(view: &ConnectionView, at: Instant) -> Self {
        Self {
            peer: view.peer,
            health: ConnectionHealth::default(),
            timeout: AdaptiveTimeout::default(),
            turn: Turn::Waits(at),
            refused: false,
            answered: false,
            limited: view.limited,
            busy: view.busy,
            leaving: false,
            turns: 0,
            opened: 0,
            failed: 0,
        }
    }

    fn judge(&mut self, view: &ConnectionView, pinged: Option<Pinged>, config: &Config) {
        let ping = pinged.and_then(|pinged| self.take(pinged));
        let mut seen = Seen { ping, muxer: view.latency, ..Seen::default() };
        seen.opened = view.opened.saturating_sub(self.opened);
        seen.failed = view.failed.saturating_sub(self.failed);
        if let Some(pinged) = pinged {
            // The stream of the ping is one of these.
            let failed = !matches!(pinged, Pinged::Answered(_) | Pinged::NotJudged);
            seen.opened = seen.opened.saturating_sub(1);
            seen.failed = seen.failed.saturating_sub(u64::from(failed));
        }
        (self.opened, self.failed) = (view.opened, view.failed);
        self.turns = self.turns.saturating_add(1);
        self.health.judge(&seen, config);
    }

    /// What a ping says of the connection.
    fn take(&mut self, pinged: Pinged) -> Option<Result<Duration, NoAnswer>> {
        match pinged {
            Pinged::Answered(rtt) => {
                self.answered = true;
                self.timeout.answered(rtt);
                Some(Ok(rtt))
            }
            Pinged::TimedOut(waited) => {
                self.timeout.timed_out(waited);
                Some(Err(NoAnswer))
            }
            Pinged::NotJudged => None,
            // Some peers hang up on what they do not serve.
            Pinged::HungUp if !self.answered => {
                self.refused = true;
                None
            }
            Pinged::Refused => {
                self.refused = true;
                None
            }
            Pinged::HungUp | Pinged::Wrong | Pinged::Broken => Some(Err(NoAnswer)),
        }
    }
}
