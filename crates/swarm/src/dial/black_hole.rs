//! Paths that swallow packets: a firewall that drops UDP, a host whose IPv6 leads nowhere.
//!
//! A path is judged by the last dials over it to public addresses. While hardly any has succeeded it is closed, but for
//! one dial in as many as the window holds: a probe. The first success opens it again. As in go-libp2p's detector.

use skep_api::{
    Multiaddr,
    address::{self, Scope},
};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The detectors of a node.
#[derive(Debug)]
pub(crate) struct BlackHoles {
    udp: Detector,
    ipv6: Detector,
}

impl BlackHoles {
    /// `window` of 0 never closes a path.
    pub(crate) fn new(window: u32, min_successes: u32) -> Self {
        let detector = |path| Detector {
            path,
            window: window as usize,
            min_successes: min_successes as usize,
            state: Mutex::default(),
        };
        Self { udp: detector("UDP"), ipv6: detector("IPv6") }
    }

    /// The state of the path that keeps `addr` from being dialled now, if one does. Counts as a request.
    pub(crate) fn check(&self, addr: &Multiaddr) -> Option<PathState> {
        self.over(addr).find_map(Detector::check)
    }

    /// Takes the outcome of a dial into account: whether anything came back over the path.
    pub(crate) fn record(&self, addr: &Multiaddr, answered: bool) {
        self.over(addr).for_each(|detector| detector.record(answered));
    }

    /// Forgets all outcomes, as when the network has changed.
    pub(crate) fn reset(&self) {
        self.all().into_iter().for_each(|detector| *detector.lock() = State::default());
    }

    /// How the paths are.
    pub(crate) fn states(&self) -> Vec<PathState> {
        self.all().into_iter().map(|detector| detector.state_of(&detector.lock())).collect()
    }

    fn all(&self) -> [&Detector; 2] {
        [&self.udp, &self.ipv6]
    }

    /// The detectors of the paths that `addr` takes. Only what is routed in public tells of a path.
    fn over(&self, addr: &Multiaddr) -> impl Iterator<Item = &Detector> {
        let public = address::scope(addr) == Scope::Public;
        let ipv6 = address::ip(addr).is_some_and(|ip| ip.is_ipv6());
        let udp = (public && address::is_udp(addr)).then_some(&self.udp);
        udp.into_iter().chain((public && ipv6).then_some(&self.ipv6))
    }
}

/// How a path has done lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathState {
    /// `UDP` or `IPv6`.
    pub path: &'static str,
    /// Whether it is closed, but for probes.
    pub closed: bool,
    /// How many of the last dials over it succeeded.
    pub successes: usize,
    /// How many dials are remembered.
    pub dials: usize,
    /// How many dials it is judged by.
    pub window: usize,
}

#[derive(Debug)]
struct Detector {
    path: &'static str,
    window: usize,
    min_successes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outcomes: VecDeque<bool>,
    /// Requests since the path was closed.
    requests: usize,
}

impl State {
    fn successes(&self) -> usize {
        self.outcomes.iter().filter(|answered| **answered).count()
    }
}

impl Detector {
    fn check(&self) -> Option<PathState> {
        let mut state = self.lock();
        if !self.closed(&state) {
            return None;
        }
        state.requests = state.requests.wrapping_add(1);
        (!state.requests.is_multiple_of(self.window)).then(|| self.state_of(&state))
    }

    fn record(&self, answered: bool) {
        let mut state = self.lock();
        if answered && self.closed(&state) {
            *state = State::default();
        }
        if state.outcomes.len() >= self.window {
            state.outcomes.pop_front();
        }
        if self.window > 0 {
            state.outcomes.push_back(answered);
        }
    }

    fn closed(&self, state: &State) -> bool {
        self.window > 0 && state.outcomes.len() >= self.window && state.successes() < self.min_successes
    }

    fn state_of(&self, state: &State) -> PathState {
        PathState {
            path: self.path,
            closed: self.closed(state),
            successes: state.successes(),
            dials: state.outcomes.len(),
            window: self.window,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_that_swallows_everything_is_closed_but_for_probes() {
        let holes = BlackHoles::new(100, 5);
        let quic = addr("/ip4/203.0.113.1/udp/1/quic-v1");
        for _ in 0..100 {
            assert_eq!(holes.check(&quic), None);
            holes.record(&quic, false);
        }
        let let_through = (0..1000).filter(|_| holes.check(&quic).is_none()).count();
        assert_eq!(let_through, 10);
        // Another path is another matter, and so is a private network.
        assert_eq!(holes.check(&addr("/ip4/203.0.113.1/tcp/1")), None);
        assert_eq!(holes.check(&addr("/ip4/10.0.0.1/udp/1/quic-v1")), None);
        holes.record(&quic, true);
        assert_eq!(holes.check(&quic), None);
    }

    #[test]
    fn a_few_successes_keep_it_open_and_a_reset_opens_it() {
        let holes = BlackHoles::new(10, 2);
        let v6 = addr("/ip6/2606:4700::1/tcp/1");
        for n in 0..40 {
            holes.record(&v6, n % 5 == 0);
            assert_eq!(holes.check(&v6), None);
        }
        (0..10).for_each(|_| holes.record(&v6, false));
        let closed = holes.check(&v6).unwrap();
        assert_eq!((closed.path, closed.successes, closed.window), ("IPv6", 0, 10));
        holes.reset();
        assert_eq!(holes.check(&v6), None);
    }

    proptest! {
        #[test]
        fn it_is_closed_exactly_by_the_last_outcomes(outcomes in proptest::collection::vec(any::<bool>(), 0..60)) {
            let holes = BlackHoles::new(10, 3);
            let quic = addr("/ip4/203.0.113.1/udp/1/quic-v1");
            let mut last: Vec<bool> = Vec::new();
            for answered in outcomes {
                let closed = last.len() == 10 && last.iter().filter(|a| **a).count() < 3;
                prop_assert_eq!(holes.states()[0].closed, closed);
                if closed && answered {
                    last.clear();
                }
                last.push(answered);
                if last.len() > 10 {
                    last.remove(0);
                }
                holes.record(&quic, answered);
            }
        }

        #[test]
        fn without_a_window_nothing_is_closed(outcomes in 0..500_usize) {
            let holes = BlackHoles::new(0, 5);
            let quic = addr("/ip4/203.0.113.1/udp/1/quic-v1");
            for _ in 0..outcomes {
                holes.record(&quic, false);
                prop_assert!(holes.check(&quic).is_none());
            }
        }
    }
}
