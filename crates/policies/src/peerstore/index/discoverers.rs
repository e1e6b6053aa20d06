//! Who waits for peers that come to have an address.

use skep_api::PeerId;
use tokio::sync::mpsc::{self, error::TrySendError};

/// Peers that wait for one subscriber; it misses what comes beyond.
const QUEUE: usize = 256;

/// Subscribers at once. One beyond gets a receiver that has ended.
const MOST: usize = 64;

/// The subscribers.
#[derive(Debug, Default)]
pub(super) struct Discoverers(Vec<mpsc::Sender<PeerId>>);

impl Discoverers {
    pub(super) fn add(&mut self) -> mpsc::Receiver<PeerId> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.0.retain(|sender| !sender.is_closed());
        if self.0.len() < MOST {
            self.0.push(sender);
        }
        receiver
    }

    pub(super) fn tell(&mut self, peer: &PeerId) {
        // A full queue is the subscriber's loss.
        self.0.retain(|sender| !matches!(sender.try_send(*peer), Err(TrySendError::Closed(_))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_the_cap_and_those_that_have_gone_are_let_go() {
        let mut discoverers = Discoverers::default();
        let mut kept: Vec<_> = (0..MOST).map(|_| discoverers.add()).collect();
        assert!(discoverers.add().is_closed());
        kept.truncate(1);
        assert!(!discoverers.add().is_closed());
        discoverers.tell(&PeerId::random());
        assert_eq!(discoverers.0.len(), 1);
        assert!(kept[0].try_recv().is_ok());
    }
}
