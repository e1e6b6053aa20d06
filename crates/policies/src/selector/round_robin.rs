//! `round_robin`: the connections to a peer in turn.

use super::direct;
use lru::LruCache;
use skep_api::{
    PeerId,
    config::NoConfig,
    register_selector,
    selector::{ConnectionSelector, ConnectionView},
};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

register_selector! {
    name: "round_robin",
    summary: "the connections to a peer in turn",
    example: "",
    config: NoConfig,
    build: |_, _| Ok(Arc::new(RoundRobin::default())),
}

/// Peers whose turn is remembered. One that is forgotten begins anew.
const PEERS: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The selector.
#[derive(Debug)]
pub struct RoundRobin {
    /// The connection that had the last turn.
    last: Mutex<LruCache<PeerId, u64>>,
}

impl Default for RoundRobin {
    fn default() -> Self {
        Self { last: Mutex::new(LruCache::new(PEERS)) }
    }
}

impl ConnectionSelector for RoundRobin {
    fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
        let peer = connections.first()?.peer;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.get(&peer).copied().unwrap_or(0);
        // By ids, which neither move nor return when connections come and go.
        let next = direct(connections).map(|c| c.id).filter(|id| *id > before).min();
        let next = next.or_else(|| direct(connections).map(|c| c.id).min())?;
        last.put(peer, next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::testing::views;

    #[test]
    fn each_has_its_turn_also_when_some_come_and_go() {
        let robin = RoundRobin::default();
        let all = views(4, |id, view| view.limited = id == 2);
        let turns: Vec<_> = (0..4).filter_map(|_| robin.select(&all)).collect();
        assert_eq!(turns, [1, 3, 4, 1]);
        // The one whose turn it would be has gone.
        let without: Vec<_> = all.iter().filter(|view| view.id != 3).cloned().collect();
        assert_eq!(robin.select(&without), Some(4));
        // Another peer has turns of its own.
        let other = views(2, |_, _| ());
        assert_eq!((robin.select(&other), robin.select(&other)), (Some(1), Some(2)));
        assert_eq!(robin.select(&all), Some(1));
        assert_eq!(robin.select(&[]), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let robin = RoundRobin::default();
        for _ in 0..PEERS.get() + 100 {
            robin.select(&views(1, |_, _| ()));
        }
        assert_eq!(robin.last.lock().unwrap().len(), PEERS.get());
    }
}
