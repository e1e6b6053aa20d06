use super::*;
use crate::peerstore::store::locked;
use ::redb::{StorageBackend, backends::FileBackend};
use skep_api::{
    Multiaddr, PeerId,
    peerstore::{PeerStore, PeerStoreErrorKind, Ttl},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skep-redb-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn config(&self) -> Config {
        Config { path: self.0.join("peers.redb").display().to_string(), ..Config::default() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A file whose writes fail while the disk is full.
#[derive(Debug)]
struct Disk(FileBackend);

static FULL: AtomicBool = AtomicBool::new(false);

impl Disk {
    fn open(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let file =
            std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(Self(FileBackend::new(file).unwrap())))
    }

    fn room(&self) -> io::Result<()> {
        if FULL.load(SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.0.write(offset, data)
    }
}

fn store(config: &Config, backend: Option<keeper::OpenBackend>) -> Indexed {
    let index = Arc::new(Mutex::new(Index::new(config.limits(), Some(Journal::default()))));
    let mut writer = Writer::new(Arc::clone(&index), config);
    if let Some(backend) = backend {
        writer.open_with(backend);
    }
    let tasks = skep_testkit::build_cx().tasks;
    // Nothing is written behind here: each test says when.
    Indexed::new(index, Arc::new(Redb::new(writer, tasks, Duration::from_secs(100_000))))
}

fn addr(n: u32) -> Multiaddr {
    format!("/memory/{n}").parse().unwrap()
}

#[tokio::test]
async fn what_could_not_be_written_is_written_by_a_later_flush() {
    let folder = Folder::new();
    let kept = store(&folder.config(), Some(Disk::open));
    kept.open().unwrap();
    let peers: Vec<_> = (0..6).map(|_| PeerId::random()).collect();
    kept.add_addrs(&peers[0], &[addr(0)], Ttl::Permanent);
    kept.add_addrs(&peers[1], &[addr(0)], Ttl::Permanent);
    kept.flush().await.unwrap();
    FULL.store(true, SeqCst);
    for (n, peer) in (2..).zip(&peers[2..5]) {
        kept.add_addrs(peer, &[addr(n)], Ttl::Permanent);
        let error = kept.flush().await.unwrap_err();
        assert_eq!(error.kind(), PeerStoreErrorKind::Io, "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    }
    kept.forget(&peers[0]);
    FULL.store(false, SeqCst);
    kept.add_addrs(&peers[5], &[addr(5)], Ttl::Permanent);
    kept.flush().await.unwrap();
    drop(kept);
    let again = store(&folder.config(), None);
    again.open().unwrap();
    let mut expected = peers[1..].to_vec();
    expected.sort_unstable();
    assert_eq!(again.peers(), expected);
}

/// A disk that takes its time: whoever writes waits for this.
static TIME: Mutex<()> = Mutex::new(());

#[derive(Debug)]
struct SlowDisk(FileBackend);

impl SlowDisk {
    fn open(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let file =
            std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(Self(FileBackend::new(file).unwrap())))
    }
}

impl StorageBackend for SlowDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        drop(TIME.lock().unwrap());
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

#[test]
fn answers_do_not_wait_for_the_disk() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let folder = Folder::new();
    let kept = Arc::new(store(&folder.config(), Some(SlowDisk::open)));
    kept.open().unwrap();
    let peer = PeerId::random();
    kept.add_addrs(&peer, &[addr(1)], Ttl::Permanent);

    let slow = TIME.lock().unwrap();
    let flushing = Arc::clone(&kept);
    let flush = runtime.spawn(async move { flushing.flush().await });
    for _ in 0..50 {
        runtime.block_on(tokio::task::yield_now());
    }
    // The write waits for the disk now, or will: either way nobody else does.
    kept.add_addrs(&peer, &[addr(2)], Ttl::Permanent);
    kept.set_protocols(&peer, &["/a/1".into()]);
    assert_eq!((kept.addrs(&peer).len(), kept.peers().len(), kept.stats().addrs), (2, 1, 2));
    assert!(!flush.is_finished());
    drop(slow);
    runtime.block_on(flush).unwrap().unwrap();
}

/// What a file was asked to do, and what a flush had promised in between.
#[derive(Debug)]
enum Event {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Flushed(usize),
}

static EVENTS: Mutex<Vec<Event>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Recorded(FileBackend);

impl Recorded {
    fn open(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let file =
            std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(Self(FileBackend::new(file).unwrap())))
    }
}

impl StorageBackend for Recorded {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        EVENTS.lock().unwrap().push(Event::SetLen(len));
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        EVENTS.lock().unwrap().push(Event::Write(offset, data.to_vec()));
        self.0.write(offset, data)
    }
}

#[tokio::test]
async fn a_kill_between_any_two_writes_loses_nothing_that_was_promised() {
    let folder = Folder::new();
    for round in 0..3 {
        let kept = store(&folder.config(), Some(Recorded::open));
        kept.open().unwrap();
        for n in 0..8 {
            kept.add_addrs(&PeerId::random(), &[addr(n)], Ttl::Permanent);
            kept.flush().await.unwrap();
            EVENTS.lock().unwrap().push(Event::Flushed(kept.stats().peers));
        }
        assert_eq!(kept.stats().peers, (round + 1) * 8);
    }
    let events = std::mem::take(&mut *EVENTS.lock().unwrap());
    let (mut file, mut promised) = (Vec::new(), 0);
    let elsewhere = Folder::new();
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::SetLen(len) => file.resize(usize::try_from(*len).unwrap(), 0),
            Event::Write(offset, data) => {
                let start = usize::try_from(*offset).unwrap();
                file[start..start + data.len()].copy_from_slice(data);
            }
            Event::Flushed(peers) => promised = *peers,
        }
        std::fs::write(elsewhere.0.join("peers.redb"), &file).unwrap();
        let again = store(&elsewhere.config(), None);
        again.open().unwrap_or_else(|e| panic!("after {at} of {} events: {e:?}", events.len()));
        let found = again.stats().peers;
        assert!(found >= promised, "after {at} events {promised} peers were promised, and {found} are there");
    }
    assert!(events.len() > 60 && promised == 24, "{} events", events.len());
}

#[tokio::test]
async fn a_store_that_was_not_opened_cannot_be_flushed() {
    let folder = Folder::new();
    let kept = store(&folder.config(), None);
    assert_eq!(kept.flush().await.unwrap_err().kind(), PeerStoreErrorKind::Io);
    assert!(!folder.0.join("peers.redb").exists());
}

#[tokio::test]
async fn what_is_read_keeps_its_order_and_is_not_written_again() {
    let folder = Folder::new();
    let first = store(&folder.config(), None);
    first.open().unwrap();
    let peers: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
    for peer in peers.iter().chain([&peers[0]]) {
        first.add_addrs(peer, &[addr(1)], Ttl::For(Duration::from_secs(3_600)));
    }
    first.flush().await.unwrap();
    drop(first);

    // A lower cap lets the longest untouched go, which is not the first any more.
    let config = Config { max_peers: 4, ..folder.config() };
    let index = Arc::new(Mutex::new(Index::new(config.limits(), Some(Journal::default()))));
    let keeper = Redb::new(
        Writer::new(Arc::clone(&index), &config),
        skep_testkit::build_cx().tasks,
        Duration::from_secs(100_000),
    );
    let again = Indexed::new(Arc::clone(&index), Arc::new(keeper));
    again.open().unwrap();
    let mut expected = vec![peers[0], peers[2], peers[3], peers[4]];
    expected.sort_unstable();
    assert_eq!(again.peers(), expected);
    let pending = locked(&index).take_pending(tokio::time::Instant::now());
    assert_eq!((pending.all, pending.peers), (false, vec![peers[1]]));
}
