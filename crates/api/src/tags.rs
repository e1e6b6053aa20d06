//! Tags: what peers are worth to this node, and who protects them.

use crate::PeerId;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

/// Names of tags with a common meaning, and what they do.
///
/// A tag adds its value to what its peer is worth when connections are pruned. Those that do more say so.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CommonTags;

impl CommonTags {
    /// To be kept connected: the service `reconnect` dials the peer at start and when it is lost. Also `keep-alive-…`,
    /// so that several owners can each have one. It outlives the connection. Weight 100.
    pub const KEEP_ALIVE: &'static str = "keep-alive";
    /// One that others are found through: dialled first by `auto_connect`, and may take a place of
    /// `[swarm] protected_reserve`. It outlives the connection. Weight 50.
    pub const BOOTSTRAP: &'static str = "bootstrap";
    /// A relay that this node is reached through. Weight 50.
    pub const RELAY: &'static str = "relay";
    /// In the routing table. Weight 5.
    pub const DHT: &'static str = "dht";
    /// In a mesh of topics. Weight 20.
    pub const PUBSUB: &'static str = "pubsub";
    /// Exchanges blocks. Weight 10.
    pub const BITSWAP: &'static str = "bitswap";
    /// The application's own. Weight 10.
    pub const APPLICATION: &'static str = "application";
    /// Has streams in use. The node gives it by itself when it looks for connections to prune, 1 for each stream in use up
    /// to a weight of 10: what a peer opens by itself makes it no more valuable than that.
    pub const ACTIVE_STREAMS: &'static str = "active-streams";

    /// The value that a tag should be given where nothing speaks for another; `None` for an unknown one.
    #[must_use]
    pub fn weight(tag: &str) -> Option<i64> {
        Some(match tag {
            tag if Self::is_keep_alive(tag) => 100,
            Self::BOOTSTRAP | Self::RELAY => 50,
            Self::PUBSUB => 20,
            Self::BITSWAP | Self::APPLICATION | Self::ACTIVE_STREAMS => 10,
            Self::DHT => 5,
            _ => return None,
        })
    }

    /// Whether a tag asks for the peer to be kept connected.
    #[must_use]
    pub fn is_keep_alive(tag: &str) -> bool {
        tag.strip_prefix(Self::KEEP_ALIVE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Whether a tag stays while the peer is not connected.
    #[must_use]
    pub fn outlives_connection(tag: &str) -> bool {
        tag == Self::BOOTSTRAP || Self::is_keep_alive(tag)
    }
}

/// The tags and protections of a peer at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagInfo {
    /// The tags with their values, those that decay included.
    pub tags: BTreeMap<String, i64>,
    /// Who protects the peer.
    pub protected_by: BTreeSet<String>,
    /// How long ago the peer was first tagged, protected or connected.
    pub age: Duration,
    /// The connections to the peer.
    pub connections: BTreeSet<u64>,
    /// Whether it has no connection. Its tags go after `[swarm] tag_grace`, but for those that
    /// [outlive](CommonTags::outlives_connection) it; its protections stay.
    pub temp: bool,
}

impl TagInfo {
    /// The sum of all tags. It saturates.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.tags.values().fold(0, |sum, value| sum.saturating_add(*value))
    }
}

/// Why a peer could not be tagged or protected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// One peer has as many as it may have.
    #[error("the peer has {0} tags or protections already; take one from it first")]
    PeerFull(usize),
    /// Every place is taken by a peer that is protected or connected.
    #[error("{0} peers are protected or connected already; unprotect those that are not needed")]
    Full(usize),
    /// Bounds that leave no value.
    #[error("the bounds of tag {tag:?} leave no value: {min} is above {max}")]
    Bounds {
        /// The tag.
        tag: String,
        /// The lower bound.
        min: i64,
        /// The upper bound.
        max: i64,
    },
    /// A decaying tag of that name exists, or so many do.
    #[error("the decaying tag {0:?} cannot be registered: {1}")]
    Decaying(String, &'static str),
    /// A decaying tag that was closed.
    #[error("the decaying tag {0:?} is closed; register it again")]
    Closed(String),
    /// The name of a tag or of an owner is too long.
    #[error("a name of {len} bytes is too long for a tag or an owner; allowed: {max}")]
    Name {
        /// The bytes it has.
        len: usize,
        /// The most it may have.
        max: usize,
    },
}

/// For an upsert: adds `delta`, saturating.
pub fn upsert_add(delta: i64) -> impl Fn(i64) -> i64 {
    move |value| value.saturating_add(delta)
}

/// For an upsert: adds `delta` and stays within `min..=max`. If `min` is greater, it is the result; the tag store's own
/// method of this name refuses such bounds.
pub fn upsert_bounded(delta: i64, min: i64, max: i64) -> impl Fn(i64) -> i64 {
    move |value| value.saturating_add(delta).min(max).max(min)
}

/// For an upsert: takes this value, whatever it was.
pub fn upsert_set(value: i64) -> impl Fn(i64) -> i64 {
    move |_| value
}

/// How a decaying tag loses its value, once every interval. At 0 or below it is gone.
#[derive(Clone)]
#[non_exhaustive]
pub enum Decay {
    /// It does not.
    None,
    /// By so much.
    Fixed(i64),
    /// To this share of itself, from 0 to 1, rounded down.
    Linear(f64),
    /// All of it, if it was not bumped for so long.
    ExpireWhenInactive(Duration),
    /// To what a function of the value says.
    Custom(Arc<dyn Fn(i64) -> i64 + Send + Sync>),
}

/// What a bump makes of the value of a decaying tag.
#[derive(Clone)]
#[non_exhaustive]
pub enum Bump {
    /// The sum.
    SumUnbounded,
    /// The sum, within these bounds.
    SumBounded {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// The new value.
    Overwrite,
    /// What a function of the old value and of the bump says.
    Custom(Arc<dyn Fn(i64, i64) -> i64 + Send + Sync>),
}

impl fmt::Debug for Decay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Fixed(by) => write!(f, "Fixed({by})"),
            Self::Linear(share) => write!(f, "Linear({share})"),
            Self::ExpireWhenInactive(after) => write!(f, "ExpireWhenInactive({after:?})"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

impl fmt::Debug for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SumUnbounded => f.write_str("SumUnbounded"),
            Self::SumBounded { min, max } => write!(f, "SumBounded({min}..={max})"),
            Self::Overwrite => f.write_str("Overwrite"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// The tags and protections of a node's peers, as services see them. They belong to a peer, not to its connections.
pub trait Tags: fmt::Debug + Send + Sync {
    /// Gives a peer a tag, in place of one of that name. It need not be connected.
    ///
    /// # Errors
    /// [`TagError`] if the peer has too many tags, or the table is full.
    fn tag(&self, peer: &PeerId, tag: &str, value: i64) -> Result<(), TagError>;

    /// Takes a tag from a peer. Whether it had it.
    fn untag(&self, peer: &PeerId, tag: &str) -> bool;

    /// What a peer has, if it has anything.
    fn info(&self, peer: &PeerId) -> Option<TagInfo>;

    /// The sum of a peer's tags.
    fn value(&self, peer: &PeerId) -> i64;

    /// The peers with a tag whose name passes `wanted`, in the order of their ids.
    fn tagged(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<PeerId>;

    /// Protects a peer in the name of `owner`.
    ///
    /// # Errors
    /// [`TagError`] if the peer has too many protections, or the table is full.
    fn protect(&self, peer: &PeerId, owner: &str) -> Result<(), TagError>;

    /// Ends the protection by `owner`. Whether others still protect the peer.
    fn unprotect(&self, peer: &PeerId, owner: &str) -> bool;

    /// Whether a peer is protected: by `owner`, or by anybody if there is none given.
    fn is_protected(&self, peer: &PeerId, owner: Option<&str>) -> bool;
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
        assert_eq!(upsert_set(3)(9), 3);
        let tags = BTreeMap::from([("a".to_string(), i64::MAX), ("b".to_string(), 1)]);
        assert_eq!(TagInfo { tags, ..TagInfo::default() }.value(), i64::MAX);
    }

    #[test]
    fn a_keep_alive_tag_may_have_an_owner() {
        assert!(CommonTags::is_keep_alive("keep-alive") && CommonTags::is_keep_alive("keep-alive-relay"));
        assert!(!CommonTags::is_keep_alive("keep-alives") && !CommonTags::is_keep_alive("keep"));
        assert_eq!(CommonTags::weight("keep-alive-x"), Some(100));
        assert_eq!(CommonTags::weight("mine"), None);
    }
}
