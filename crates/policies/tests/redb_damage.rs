//! Damaged files: `redb` says what is wrong, never panics, and leaves them as they are.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod kept;

use kept::{Folder, addr, key, open, open_with, peer, refusal};
use redb::{Database, TableDefinition};
use skep_api::{
    peerstore::{PeerStoreErrorKind, Ttl},
    record::SignedRecord,
};
use std::{error::Error, fs, path::Path};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const PEERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("peers");

/// The bytes of a good file, and of the same one as a process that was killed leaves it.
async fn good() -> [Vec<u8>; 2] {
    let folder = Folder::new();
    let store = open(&folder.file()).unwrap();
    for n in 0..40 {
        store.add_addrs(&peer(n), &[addr(1), addr(2)], Ttl::Permanent);
        store.put_record(&SignedRecord::sign(&key(n), 1, &[addr(3)]).unwrap());
        store.set_metadata(&peer(n), "agent", Some(&[n; 300])).unwrap();
        if n % 10 == 0 {
            store.flush().await.unwrap();
        }
    }
    store.flush().await.unwrap();
    let unclean = fs::read(folder.file()).unwrap();
    drop(store);
    [fs::read(folder.file()).unwrap(), unclean]
}

/// Opens a file with these bytes: it works, or fails with a kind that says so and changes nothing.
#[track_caller]
fn survives(folder: &Folder, bytes: &[u8], what: &str) -> bool {
    fs::write(folder.file(), bytes).unwrap();
    match open(&folder.file()) {
        Ok(_) => true,
        Err(e) => {
            let kinds = [PeerStoreErrorKind::Corrupted, PeerStoreErrorKind::Version];
            assert!(kinds.contains(&e.kind()), "{what}: {e:?}");
            assert!(fs::read(folder.file()).unwrap() == bytes, "{what}: the file was changed");
            false
        }
    }
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_refused_or_read() {
    let folder = Folder::new();
    for bytes in good().await {
        let len = bytes.len();
        let cuts = [0, 1, 8, 9, 63, 64, 319, 320, 511, 512, 4_095, 4_096, 4_097, 8_192, len - 4_096, len - 1];
        for cut in cuts.into_iter().chain((1..40).map(|n| n * len / 40)) {
            let opened = survives(&folder, &bytes[..cut], &format!("cut at {cut}"));
            assert!(!opened || cut == 0 || cut > 8_192, "a file of {cut} bytes was taken for a good one");
        }
    }
}

#[tokio::test]
async fn changed_bytes_never_panic() {
    let folder = Folder::new();
    let mut random = Random(1);
    for bytes in good().await {
        let mut refused = 0;
        // Most of the file is room for more; what is in use is changed more often.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for round in 0..120 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(4) {
                let at = match random.below(4) {
                    0 => random.below(400),
                    1 => random.below(bytes.len()),
                    _ => used[random.below(used.len())],
                };
                let byte = u8::try_from(random.below(256)).unwrap();
                let end = (at + 1 + random.below(24)).min(bytes.len());
                match random.below(3) {
                    0 => damaged[at] ^= 1 << (byte % 8),
                    1 => damaged[at..end].fill(byte),
                    _ => damaged[at..end].fill_with(|| u8::try_from(random.below(256)).unwrap()),
                }
            }
            refused += usize::from(!survives(&folder, &damaged, &format!("round {round}")));
        }
        assert!(refused > 12, "only {refused} were refused");
    }
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = Folder::new();
    assert!(survives(&folder, b"", "an empty file"));
    for bytes in [&b"[peers]\nnone = true\n"[..], &[0xff; 5_000], &[0; 20]] {
        assert!(!survives(&folder, bytes, "junk"));
        assert_eq!(refusal(&folder.file()), PeerStoreErrorKind::Corrupted);
    }
    assert_eq!(refusal(&folder.0), PeerStoreErrorKind::Io);
    let error = open(&folder.0.join("none/peers.redb")).map(drop).unwrap_err();
    assert_eq!(error.kind(), PeerStoreErrorKind::Io);
    assert!(error.source().is_some() && error.detail().contains("none/peers.redb"), "{error:?}");
}

#[tokio::test]
async fn a_file_whose_creation_was_cut_short_is_begun_again() {
    let folder = Folder::new();
    drop(open(&folder.file()).unwrap());
    let whole = fs::metadata(folder.file()).unwrap().len();
    let mut blank = vec![0; usize::try_from(whole).unwrap()];
    assert!(survives(&folder, &blank, "before the header"));
    blank[12..300].fill(1);
    assert!(survives(&folder, &blank, "before the magic number"));
}

/// A database with these rows, written as if by this store.
fn write_rows(path: &Path, version: Option<u64>, rows: &[(&[u8], &[u8])]) {
    drop(fs::remove_file(path));
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    if let Some(version) = version {
        transaction.open_table(META).unwrap().insert("version", version).unwrap();
    }
    for (key, value) in rows {
        transaction.open_table(PEERS).unwrap().insert(*key, *value).unwrap();
    }
    transaction.commit().unwrap();
}

#[tokio::test]
async fn rows_and_versions_that_are_wrong_are_refused() {
    let (folder, peer) = (Folder::new(), peer(1).to_bytes());
    let refused = |version, rows: &[(&[u8], &[u8])]| {
        write_rows(&folder.file(), version, rows);
        let before = fs::read(folder.file()).unwrap();
        let kind = refusal(&folder.file());
        assert!(fs::read(folder.file()).unwrap() == before, "the file was changed");
        kind
    };
    assert_eq!(refused(Some(2), &[]), PeerStoreErrorKind::Version);
    assert_eq!(refused(Some(0), &[]), PeerStoreErrorKind::Version);
    assert_eq!(refused(None, &[(&peer, b"")]), PeerStoreErrorKind::Corrupted);
    assert_eq!(refused(Some(1), &[(b"nobody", b"")]), PeerStoreErrorKind::Corrupted);
    assert_eq!(refused(Some(1), &[(&peer, b"\xff\xff")]), PeerStoreErrorKind::Corrupted);
    // A version and no table of peers.
    assert_eq!(refused(Some(1), &[]), PeerStoreErrorKind::Corrupted);
    write_rows(&folder.file(), Some(1), &[(&peer, b"")]);
    assert!(open(&folder.file()).unwrap().peers().is_empty());
}

#[tokio::test]
async fn starting_afresh_keeps_the_damaged_file() {
    let folder = Folder::new();
    let afresh = || open_with(&folder.file(), "on_corruption = \"start_afresh\"\nwrite_every = \"1h\"");
    let aside = |n| folder.0.join(format!("peers.redb.damaged-{n}"));
    fs::write(aside(1), "from before").unwrap();
    fs::write(folder.file(), "damaged").unwrap();
    let store = afresh().unwrap();
    assert_eq!(store.stats().peers, 0);
    store.add_addrs(&peer(1), &[addr(1)], Ttl::Permanent);
    store.flush().await.unwrap();
    drop(store);
    assert_eq!(fs::read(aside(1)).unwrap(), b"from before");
    assert_eq!(fs::read(aside(2)).unwrap(), b"damaged");
    assert_eq!(afresh().unwrap().peers(), [peer(1)]);
    assert!(!aside(3).exists());

    let [mut bytes, _] = good().await;
    bytes[8_192..].fill(0x55);
    fs::write(folder.file(), &bytes).unwrap();
    assert_eq!(refusal(&folder.file()), PeerStoreErrorKind::Corrupted);
    drop(afresh().unwrap());
    assert!(fs::read(aside(3)).unwrap() == bytes);

    // A file of a later version is not damaged, and one that another store has open is not touched.
    write_rows(&folder.file(), Some(2), &[]);
    assert_eq!(afresh().map(drop).unwrap_err().kind(), PeerStoreErrorKind::Version);
    fs::remove_file(folder.file()).unwrap();
    let held = afresh().unwrap();
    assert_eq!(afresh().map(drop).unwrap_err().kind(), PeerStoreErrorKind::InUse);
    drop(held);
    assert!(!aside(4).exists());
}

/// The same numbers on every run (a linear congruence after Knuth).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}
