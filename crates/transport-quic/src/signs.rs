//! Signs of life of a peer, from what the library counts.

use quinn::{ConnectionStats, VarInt};
use skep_api::muxer::Pulse;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// What was seen of a peer. The library tells how many datagrams came, but not when: the time is that of the first look
/// at which there were more, so that a silence is never said to be longer than it is.
#[derive(Debug, Default)]
pub(crate) struct Signs(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    datagrams: u64,
    at: Option<Instant>,
    /// How many datagrams had come when the last probe was sent.
    probed: Option<u64>,
    /// Probes so far.
    probes: u32,
}

impl Signs {
    pub(crate) fn pulse(&self, stats: &ConnectionStats) -> Pulse {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pulse::new(seen.silence(stats.udp_rx.datagrams), Some(stats.path.rtt))
    }

    /// Makes the peer's QUIC layer answer. The library has no word to send a PING, but a larger window is told at once,
    /// and has to be acknowledged: each probe adds a byte to that of the connection. One that is not answered yet is
    /// enough, for the library sends it again when it is lost.
    pub(crate) fn probe(&self, quic: &quinn::Connection, window: u32) {
        let datagrams = quic.stats().udp_rx.datagrams;
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = seen.next_probe(datagrams, window) {
            drop(seen);
            quic.set_receive_window(window);
        }
    }
}

impl Seen {
    fn silence(&mut self, datagrams: u64) -> std::time::Duration {
        let now = Instant::now();
        if datagrams != self.datagrams || self.at.is_none() {
            self.datagrams = datagrams;
            self.at = Some(now);
        }
        self.at.map(|at| now.duration_since(at)).unwrap_or_default()
    }

    /// The window to tell, if no probe is on its way.
    fn next_probe(&mut self, datagrams: u64, window: u32) -> Option<VarInt> {
        if self.probed == Some(datagrams) {
            return None;
        }
        self.probed = Some(datagrams);
        self.probes = self.probes.saturating_add(1);
        Some(VarInt::from_u32(window.saturating_add(self.probes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn silence_begins_anew_with_each_datagram() {
        let mut seen = Seen::default();
        assert_eq!(seen.silence(5), Duration::ZERO);
        advance(Duration::from_secs(2)).await;
        assert_eq!(seen.silence(5), Duration::from_secs(2));
        assert_eq!(seen.silence(6), Duration::ZERO);
        advance(Duration::from_secs(1)).await;
        assert_eq!(seen.silence(6), Duration::from_secs(1));
    }

    #[test]
    fn one_probe_is_on_its_way_at_once() {
        let mut seen = Seen::default();
        assert_eq!(seen.next_probe(5, 1_000), Some(VarInt::from_u32(1_001)));
        assert_eq!(seen.next_probe(5, 1_000), None);
        assert_eq!(seen.next_probe(6, 1_000), Some(VarInt::from_u32(1_002)));
    }
}
