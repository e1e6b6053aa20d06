//! Who waits for new addresses of which peer.

use skep_api::{Multiaddr, PeerId};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Addresses that wait for one subscriber; it misses what comes beyond.
const QUEUE: usize = 64;

/// Subscribers at once. One beyond gets a receiver that has ended.
const MOST: usize = 4_096;

/// The subscribers of all peers.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    of: HashMap<PeerId, Vec<mpsc::Sender<Multiaddr>>>,
    count: usize,
    /// How many there may be before those that have gone are looked for again.
    sweep_at: usize,
}

impl Subscribers {
    pub(super) fn add(&mut self, peer: &PeerId) -> mpsc::Receiver<Multiaddr> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        if self.count >= self.sweep_at {
            self.sweep();
        }
        if self.count < MOST {
            self.of.entry(*peer).or_default().push(sender);
            self.count = self.count.saturating_add(1);
        }
        receiver
    }

    pub(super) fn tell(&mut self, peer: &PeerId, addrs: &[Multiaddr]) {
        let Some(senders) = self.of.get_mut(peer) else { return };
        let before = senders.len();
        senders.retain(|sender| {
            // A full queue is the subscriber's loss.
            addrs.iter().for_each(|addr| drop(sender.try_send(addr.clone())));
            !sender.is_closed()
        });
        let left = senders.len();
        if left == 0 {
            self.of.remove(peer);
        }
        self.count = self.count.saturating_sub(before.saturating_sub(left));
    }

    fn sweep(&mut self) {
        self.of.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        self.count = self.of.values().map(Vec::len).sum();
        self.sweep_at = self.count.saturating_mul(2).clamp(16, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_the_cap() {
        let (mut subscribers, peer) = (Subscribers::default(), PeerId::random());
        let mut kept: Vec<_> = (0..MOST).map(|_| subscribers.add(&peer)).collect();
        assert!(subscribers.add(&peer).is_closed());
        kept.truncate(MOST / 2);
        assert!(!subscribers.add(&peer).is_closed());
    }

    #[test]
    fn those_that_have_gone_are_let_go() {
        let mut subscribers = Subscribers::default();
        for _ in 0..10_000 {
            drop(subscribers.add(&PeerId::random()));
            assert!(subscribers.count <= 16 && subscribers.of.len() <= 16);
        }
        let peer = PeerId::random();
        drop(subscribers.add(&peer));
        subscribers.tell(&peer, &["/memory/1".parse().unwrap()]);
        assert!(!subscribers.of.contains_key(&peer));
    }
}
