//! What `redb` keeps over a restart, and when it writes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod kept;

use kept::{Folder, addr, build, key, open, open_with, peer, refusal};
use skep_api::{
    BuildCx, Keypair, TaskScope,
    context::Spawn,
    peerstore::{PeerStoreErrorKind, Ttl},
    record::SignedRecord,
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn what_was_flushed_is_there_after_a_restart() {
    let folder = Folder::new();
    let store = open(&folder.file()).unwrap();
    let (us, gone) = (peer(1), peer(2));
    store.add_addrs(&us, &[addr(1)], Ttl::Permanent);
    store.add_addrs(&us, &[addr(2)], Ttl::Connected);
    store.add_addrs(&gone, &[addr(1)], Ttl::Permanent);
    store.flush().await.unwrap();
    let record = SignedRecord::sign(&key(1), 9, &[addr(3)]).unwrap();
    assert!(store.put_record(&record));
    store.set_protocols(&us, &["/a/1".into()]);
    store.set_metadata(&us, "agent", Some(b"skep")).unwrap();
    store.record_latency(&us, Duration::from_millis(20));
    store.forget(&gone);
    store.flush().await.unwrap();
    drop(store);

    let store = open(&folder.file()).unwrap();
    assert_eq!(store.peers(), [us]);
    let mut known: Vec<_> = store.addrs(&us);
    known.sort_by_key(|known| known.addr.to_string());
    let ttls: Vec<_> = known.iter().map(|known| known.ttl).collect();
    assert_eq!(ttls, [Ttl::Permanent, Ttl::RecentlyConnected, Ttl::For(Duration::from_secs(3_600))]);
    assert_eq!(known.iter().map(|known| known.certified).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!((store.record(&us), store.key(&us)), (Some(record), Some(key(1).public())));
    assert_eq!(store.protocols(&us), ["/a/1"]);
    assert_eq!(store.metadata(&us, "agent").as_deref(), Some(&b"skep"[..]));
    assert_eq!(store.latency(&us), Some(Duration::from_millis(20)));
}

#[tokio::test]
async fn only_one_store_has_a_file() {
    let folder = Folder::new();
    let first = open(&folder.file()).unwrap();
    assert_eq!(refusal(&folder.file()), PeerStoreErrorKind::InUse);
    drop(first);
    open(&folder.file()).unwrap();
}

#[tokio::test]
async fn a_build_touches_no_file() {
    let folder = Folder::new();
    drop(build(&folder.file(), "", &skep_testkit::build_cx()));
    assert!(!folder.file().exists());
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_written_after_a_while() {
    let folder = Folder::new();
    let store = open_with(&folder.file(), "").unwrap();
    store.add_addrs(&peer(1), &[addr(1)], Ttl::Permanent);
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(store);
    assert_eq!(open(&folder.file()).unwrap().peers(), [peer(1)]);
}

/// Keeps its tasks, as a node does.
#[derive(Debug, Default)]
struct Tasks(Mutex<Vec<JoinHandle<()>>>);

impl Tasks {
    fn take(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Spawn for Tasks {
    fn spawn(&self, _: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.lock().unwrap().push(tokio::spawn(task));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_written_when_the_node_ends() {
    let folder = Folder::new();
    let (tasks, cancelled) = (Arc::new(Tasks::default()), CancellationToken::new());
    let scope = TaskScope::new(Arc::clone(&tasks) as _, cancelled.clone());
    let cx = BuildCx::new(Keypair::generate_ed25519(), scope);
    let store = build(&folder.file(), "write_every = \"1h\"", &cx);
    assert!(tasks.take().is_empty());
    store.open().unwrap();
    store.add_addrs(&peer(1), &[addr(1)], Ttl::Permanent);
    cancelled.cancel();
    let running = tasks.take();
    assert_eq!(running.len(), 1);
    for task in running {
        task.await.unwrap();
    }
    drop(store);
    assert_eq!(open(&folder.file()).unwrap().peers(), [peer(1)]);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_store() {
    let folder = Folder::new();
    let tasks = Arc::new(Tasks::default());
    let scope = TaskScope::new(Arc::clone(&tasks) as _, CancellationToken::new());
    let cx = BuildCx::new(Keypair::generate_ed25519(), scope);
    let store = build(&folder.file(), "", &cx);
    store.open().unwrap();
    drop(store);
    for task in tasks.take() {
        task.await.unwrap();
    }
}
