use super::*;
use skep_api::Keypair;

const HOUR: Duration = Duration::from_secs(3_600);

fn limits() -> Limits {
    super::super::Config::default().limits()
}

fn at(now: Instant, wall: u64) -> Clocks {
    Clocks { now, wall: Duration::from_secs(wall) }
}

fn addr(n: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{n}").parse().unwrap()
}

/// A row with everything in it, and its peer.
fn full(clocks: Clocks) -> (PeerId, Entry) {
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    let mut entry = Entry { touched: 7, ..Entry::default() };
    for (n, ttl) in [Ttl::Temporary, Ttl::RecentlyConnected, Ttl::Connected, Ttl::Permanent, Ttl::For(HOUR)]
        .into_iter()
        .enumerate()
    {
        let addr = addr(u16::try_from(n).unwrap() + 1);
        entry.addrs.add(Held::new(addr, ttl, &limits(), clocks.now), 64, clocks.now);
    }
    entry.record = SignedRecord::sign(&key, 3, &[addr(1)]);
    entry.key = Some(key.public());
    entry.protocols = vec!["/a/1".into(), "/b/1".into()];
    entry.metadata.insert("agent".into(), b"skep".to_vec());
    entry.latency = Some(Duration::from_millis(12));
    (peer, entry)
}

fn left(row: &Row, now: Instant) -> Vec<Option<u64>> {
    let left = |held: &Held| held.expires.map(|end| (end - now).as_secs());
    row.entry.addrs.iter().map(left).collect()
}

#[test]
fn a_row_is_read_as_it_was_written_but_for_connections_that_have_ended() {
    let clocks = at(Instant::now(), 1_000_000);
    let (peer, entry) = full(clocks);
    let row = decode(&peer.to_bytes(), &encode(&entry, clocks), &limits(), clocks).unwrap();
    assert_eq!((row.peer, row.as_stored), (peer, false));
    let ttls: Vec<_> = row.entry.addrs.iter().map(|held| held.ttl).collect();
    let (recently, whole) = (Ttl::RecentlyConnected, Ttl::For(HOUR));
    assert_eq!(ttls, [Ttl::Temporary, recently, recently, Ttl::Permanent, whole]);
    assert_eq!(left(&row, clocks.now), [Some(120), Some(900), Some(900), None, Some(3_600)]);
    assert_eq!((row.entry.record, row.entry.key), (entry.record, entry.key));
    assert_eq!((row.entry.protocols, row.entry.metadata), (entry.protocols, entry.metadata));
    assert_eq!((row.entry.latency, row.entry.touched), (entry.latency, entry.touched));
}

#[test]
fn what_has_ended_in_the_meantime_is_left_out() {
    let clocks = at(Instant::now(), 1_000_000);
    let (peer, entry) = full(clocks);
    let value = encode(&entry, clocks);
    let row = decode(&peer.to_bytes(), &value, &limits(), at(clocks.now, 1_000_900)).unwrap();
    assert_eq!(left(&row, clocks.now), [Some(900), None, Some(2_700)]);
}

#[test]
fn a_clock_that_goes_back_gives_no_more_than_was_left() {
    let clocks = at(Instant::now(), 1_000_000);
    let (peer, mut entry) = full(clocks);
    entry.addrs.reclass(Ttl::Connected, Ttl::Temporary, &limits(), clocks.now);
    let later = at(clocks.now + Duration::from_secs(60), 1_000_060);
    let value = encode(&entry, later);
    for wall in [0, 1_000, 1_000_059] {
        let row = decode(&peer.to_bytes(), &value, &limits(), at(clocks.now, wall)).unwrap();
        assert_eq!(left(&row, clocks.now), [Some(60), Some(840), Some(60), None, Some(3_540)]);
        // It is written again, so that the next restart finds less.
        assert!(!row.as_stored);
    }
    assert!(decode(&peer.to_bytes(), &value, &limits(), later).unwrap().as_stored);
    // An end that no class has, as if the clock had been far ahead when it was written.
    let mut stored = Stored::decode(value.as_slice()).unwrap();
    stored.addrs.iter_mut().for_each(|addr| addr.ends = u64::MAX);
    let row = decode(&peer.to_bytes(), &stored.encode_to_vec(), &limits(), later).unwrap();
    assert_eq!(left(&row, later.now), [Some(120), Some(900), Some(120), None, Some(3_600)]);
}

#[test]
fn caps_hold_for_what_is_read() {
    let clocks = at(Instant::now(), 1_000_000);
    let (peer, entry) = full(clocks);
    let small = Limits { addrs_per_peer: 2, protocols_per_peer: 1, metadata_per_peer: 3, ..limits() };
    let row = decode(&peer.to_bytes(), &encode(&entry, clocks), &small, clocks).unwrap();
    assert_eq!(left(&row, clocks.now), [None, Some(3_600)]);
    assert_eq!((row.entry.protocols.len(), row.entry.metadata.len()), (1, 0));
}

#[test]
fn what_this_store_would_not_write_is_refused() {
    let clocks = at(Instant::now(), 1_000_000);
    let (peer, entry) = full(clocks);
    let (_, other) = full(clocks);
    let good = Stored::decode(encode(&entry, clocks).as_slice()).unwrap();
    let read = |stored: &Stored| decode(&peer.to_bytes(), &stored.encode_to_vec(), &limits(), clocks);
    assert!(read(&good).is_ok());
    let with = |change: fn(&mut Stored)| {
        let mut stored = good.clone();
        change(&mut stored);
        read(&stored).unwrap_err()
    };
    assert!(matches!(with(|s| s.addrs[0].class = 9), Garbage::UnknownClass(9)));
    assert!(matches!(with(|s| s.addrs[0].addr = vec![0xff]), Garbage::BadAddr));
    assert!(matches!(with(|s| s.addrs[0].addr = vec![]), Garbage::BadAddr));
    assert!(matches!(with(|s| s.key = Some(vec![1])), Garbage::BadKey));
    assert!(matches!(with(|s| s.record = Some(vec![1])), Garbage::BadRecord(_)));
    let foreign = Stored { key: other.key.map(|key| key.encode_protobuf()), ..good.clone() };
    assert!(matches!(read(&foreign), Err(Garbage::BadKey)));
    let foreign = Stored { record: other.record.map(|r| r.envelope().to_vec()), ..good.clone() };
    assert!(matches!(read(&foreign), Err(Garbage::ForeignRecord)));
    assert!(matches!(decode(&[1, 2], &[], &limits(), clocks), Err(Garbage::NoPeer)));
    assert!(matches!(decode(&peer.to_bytes(), &[0xff; 9], &limits(), clocks), Err(Garbage::Undecodable(_))));
}
