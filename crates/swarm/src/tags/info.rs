//! What is known of one peer's worth.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Names of tags with a common meaning. They have no effect by themselves.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CommonTags;

impl CommonTags {
    /// To be kept connected.
    pub const KEEP_ALIVE: &'static str = "keep-alive";
    /// One that others are found through.
    pub const BOOTSTRAP: &'static str = "bootstrap";
    /// A relay that this node is reached through.
    pub const RELAY: &'static str = "relay";
    /// In the routing table.
    pub const DHT: &'static str = "dht";
    /// In a mesh of topics.
    pub const PUBSUB: &'static str = "pubsub";
    /// Exchanges blocks.
    pub const BITSWAP: &'static str = "bitswap";
    /// The application's own.
    pub const APPLICATION: &'static str = "application";
    /// Has streams in use.
    pub const ACTIVE_STREAMS: &'static str = "active-streams";
}

/// The tags and protections of a peer at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagInfo {
    /// The tags with their values.
    pub tags: BTreeMap<String, i64>,
    /// Who protects the peer.
    pub protected_by: BTreeSet<String>,
    /// How long ago the first of either was given.
    pub age: Duration,
}

impl TagInfo {
    /// The sum of all tags. It saturates.
    #[must_use]
    pub fn value(&self) -> i64 {
        sum(&self.tags)
    }
}

pub(super) fn sum(tags: &BTreeMap<String, i64>) -> i64 {
    tags.values().fold(0, |sum, value| sum.saturating_add(*value))
}

/// Why a peer could not be tagged or protected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// One peer has as many as it may have.
    #[error("the peer has {0} tags or protections already; take one from it first")]
    PeerFull(usize),
    /// Every place is taken by a peer that is protected.
    #[error("{0} peers are protected already; unprotect those that are not needed")]
    Full(usize),
}

/// For [`upsert_tag`](crate::Swarm::upsert_tag): adds `delta`, saturating.
pub fn upsert_add(delta: i64) -> impl Fn(i64) -> i64 {
    move |value| value.saturating_add(delta)
}

/// For [`upsert_tag`](crate::Swarm::upsert_tag): adds `delta` and stays within `min..=max`. If `min` is greater, it is
/// the result.
pub fn upsert_bounded(delta: i64, min: i64, max: i64) -> impl Fn(i64) -> i64 {
    move |value| value.saturating_add(delta).min(max).max(min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_saturate_and_stay_in_bounds() {
        assert_eq!(upsert_add(3)(4), 7);
        assert_eq!(upsert_add(1)(i64::MAX), i64::MAX);
        assert_eq!(upsert_bounded(5, 0, 10)(8), 10);
        assert_eq!(upsert_bounded(-50, 0, 10)(8), 0);
        assert_eq!(upsert_bounded(1, 9, 2)(0), 9);
        let tags = BTreeMap::from([("a".to_string(), i64::MAX), ("b".to_string(), 1)]);
        assert_eq!(sum(&tags), i64::MAX);
    }
}
