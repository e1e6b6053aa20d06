//! All that is known of one peer.

use super::addrs::Addrs;
use crate::peerstore::limits::{Limits, MAX_PROTOCOL_LEN};
use skep_api::{PublicKey, record::SignedRecord};
use std::{collections::BTreeMap, time::Duration};

/// All that is known of one peer.
#[derive(Clone, Debug, Default)]
pub(in crate::peerstore) struct Entry {
    pub(in crate::peerstore) addrs: Addrs,
    pub(in crate::peerstore) record: Option<SignedRecord>,
    pub(in crate::peerstore) key: Option<PublicKey>,
    pub(in crate::peerstore) protocols: Vec<String>,
    pub(in crate::peerstore) metadata: BTreeMap<String, Vec<u8>>,
    pub(in crate::peerstore) latency: Option<Duration>,
    /// Rises with every change of any peer: the lowest is the longest untouched.
    pub(in crate::peerstore) touched: u64,
}

impl Entry {
    pub(super) fn is_empty(&self) -> bool {
        self.addrs.len() == 0
            && self.record.is_none()
            && self.key.is_none()
            && self.protocols.is_empty()
            && self.metadata.is_empty()
            && self.latency.is_none()
    }

    /// The place in the order in which peers go.
    pub(super) fn rank(&self) -> (bool, u64) {
        (self.addrs.are_needed(), self.touched)
    }

    pub(in crate::peerstore) fn set_protocols(&mut self, protocols: &[String], limits: &Limits) {
        let short = protocols.iter().filter(|name| name.len() <= MAX_PROTOCOL_LEN);
        self.protocols = short.take(limits.protocols_per_peer).cloned().collect();
    }

    /// Whether there was room.
    pub(in crate::peerstore) fn set_metadata(&mut self, name: &str, value: &[u8], limits: &Limits) -> bool {
        let others = self.metadata.iter().filter(|(key, _)| *key != name);
        let used = others.fold(0_usize, |sum, (key, value)| sum.saturating_add(size(key, value)));
        let fits = used.saturating_add(size(name, value)) <= limits.metadata_per_peer;
        if fits {
            self.metadata.insert(name.to_string(), value.to_vec());
        }
        fits
    }

    /// A moving average with the weight 0.1 for the newest.
    pub(super) fn record_latency(&mut self, rtt: Duration) {
        let average = |old: Duration| old.saturating_mul(9).saturating_add(rtt).checked_div(10);
        self.latency = Some(self.latency.and_then(average).unwrap_or(rtt));
    }
}

fn size(name: &str, value: &[u8]) -> usize {
    name.len().saturating_add(value.len())
}
