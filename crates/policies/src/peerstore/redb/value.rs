//! What a row holds: one peer, in protobuf. Everything that is read is checked as if a stranger had written it.

use super::error::Garbage;
use crate::peerstore::{
    index::{Entry, Held, own},
    limits::{Limits, MAX_RECORD_LEN},
};
use prost::Message;
use skep_api::{Multiaddr, PeerId, PublicKey, peerstore::Ttl, record::SignedRecord};
use std::time::Duration;
use tokio::time::Instant;

/// What both clocks say: the one that ends times to live, and the one that outlives the process, since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    pub(super) now: Instant,
    pub(super) wall: Duration,
}

/// A row that was read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) peer: PeerId,
    pub(super) entry: Entry,
    /// Whether the file already says what `entry` does.
    pub(super) as_stored: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Stored {
    /// When it was written, in seconds since 1970.
    #[prost(uint64, tag = "1")]
    pub(super) written: u64,
    /// [`Entry::touched`], for the order alone.
    #[prost(uint64, tag = "2")]
    pub(super) touched: u64,
    #[prost(message, repeated, tag = "3")]
    pub(super) addrs: Vec<StoredAddr>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) record: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) key: Option<Vec<u8>>,
    #[prost(string, repeated, tag = "6")]
    pub(super) protocols: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub(super) metadata: Vec<StoredMetadata>,
    #[prost(uint64, optional, tag = "8")]
    pub(super) latency_nanos: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StoredAddr {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) addr: Vec<u8>,
    /// 1 temporary, 2 recently connected, 3 connected, 4 permanent, 5 for a time of its own.
    #[prost(uint32, tag = "2")]
    pub(super) class: u32,
    /// The time of class 5, in milliseconds.
    #[prost(uint64, tag = "3")]
    pub(super) for_millis: u64,
    /// When it ends, in seconds since 1970; of no meaning for classes 3 and 4.
    #[prost(uint64, tag = "4")]
    pub(super) ends: u64,
    #[prost(bool, tag = "5")]
    pub(super) certified: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StoredMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// The row of a peer.
pub(super) fn encode(entry: &Entry, clocks: Clocks) -> Vec<u8> {
    let stored = Stored {
        written: clocks.wall.as_secs(),
        touched: entry.touched,
        addrs: entry.addrs.iter().map(|held| encode_addr(held, clocks)).collect(),
        record: entry.record.as_ref().map(|record| record.envelope().to_vec()),
        key: entry.key.as_ref().map(PublicKey::encode_protobuf),
        protocols: entry.protocols.clone(),
        metadata: entry
            .metadata
            .iter()
            .map(|(name, value)| StoredMetadata { name: name.clone(), value: value.clone() })
            .collect(),
        latency_nanos: entry.latency.map(|rtt| u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX)),
    };
    stored.encode_to_vec()
}

fn encode_addr(held: &Held, clocks: Clocks) -> StoredAddr {
    let (class, time) = match held.ttl {
        Ttl::Temporary => (1, Duration::ZERO),
        Ttl::RecentlyConnected => (2, Duration::ZERO),
        Ttl::Permanent => (4, Duration::ZERO),
        Ttl::For(time) => (5, time),
        // Also for a class that is not known here: it ended with the process.
        _ => (3, Duration::ZERO),
    };
    let left = held.expires.map(|end| end.saturating_duration_since(clocks.now)).unwrap_or_default();
    StoredAddr {
        addr: held.addr.to_vec(),
        class,
        for_millis: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        ends: clocks.wall.saturating_add(left).as_secs(),
        certified: held.certified,
    }
}

/// Reads a row. What has ended in the meantime is left out, and what is beyond a cap.
///
/// # Errors
/// Anything that this store would not have written.
pub(super) fn decode(peer: &[u8], value: &[u8], limits: &Limits, clocks: Clocks) -> Result<Row, Garbage> {
    let peer = PeerId::from_bytes(peer).map_err(|_| Garbage::NoPeer)?;
    let stored = Stored::decode(value)?;
    let mut entry = Entry { touched: stored.touched, ..Entry::default() };
    // Where the clock has gone back, the times left are written again by the new one, so that they run out.
    let mut as_stored = clocks.wall.as_secs() >= stored.written;
    for addr in &stored.addrs {
        as_stored &= addr.class != 3;
        if let Some(held) = decode_addr(&peer, addr, stored.written, limits, clocks)? {
            entry.addrs.add(held, limits.addrs_per_peer, clocks.now);
        }
    }
    entry.record = stored.record.map(|envelope| decode_record(&peer, envelope)).transpose()?;
    entry.key = stored.key.map(|key| decode_key(&peer, &key)).transpose()?;
    entry.set_protocols(&stored.protocols, limits);
    for part in stored.metadata {
        entry.set_metadata(&part.name, &part.value, limits);
    }
    entry.latency = stored.latency_nanos.map(Duration::from_nanos);
    Ok(Row { peer, entry, as_stored })
}

/// `None` for an address that has ended.
fn decode_addr(
    peer: &PeerId,
    stored: &StoredAddr,
    written: u64,
    limits: &Limits,
    clocks: Clocks,
) -> Result<Option<Held>, Garbage> {
    let addr = Multiaddr::try_from(stored.addr.clone()).ok().and_then(|addr| own(peer, &addr));
    let addr = addr.ok_or(Garbage::BadAddr)?;
    let ttl = match stored.class {
        1 => Ttl::Temporary,
        // Of a connection that ended with the process nobody knows since when.
        2 | 3 => Ttl::RecentlyConnected,
        4 => Ttl::Permanent,
        5 => Ttl::For(Duration::from_millis(stored.for_millis)),
        other => return Err(Garbage::UnknownClass(other)),
    };
    let mut held = Held::new(addr, ttl, limits, clocks.now);
    held.certified = stored.certified;
    if stored.class != 3
        && let Some(whole) = held.expires
    {
        // A clock that has gone back gives no more than was left when it was written, nor than the class has.
        let end = Duration::from_secs(stored.ends);
        let left = end.saturating_sub(clocks.wall.max(Duration::from_secs(written)));
        held.expires = Some(clocks.now.checked_add(left).unwrap_or(whole).min(whole));
    }
    Ok(held.expires.is_none_or(|end| end > clocks.now).then_some(held))
}

fn decode_record(peer: &PeerId, envelope: Vec<u8>) -> Result<SignedRecord, Garbage> {
    let record = SignedRecord::verify(envelope)?;
    let right = record.peer() == *peer && record.envelope().len() <= MAX_RECORD_LEN;
    if right { Ok(record) } else { Err(Garbage::ForeignRecord) }
}

fn decode_key(peer: &PeerId, key: &[u8]) -> Result<PublicKey, Garbage> {
    let key = PublicKey::try_decode_protobuf(key).ok();
    key.filter(|key| key.to_peer_id() == *peer).ok_or(Garbage::BadKey)
}

#[cfg(test)]
mod tests;
