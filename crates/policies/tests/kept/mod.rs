//! Stores in files of their own, for the tests of `redb`.

// Each test file uses some of it.
#![allow(dead_code, clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use serde_json::{Map, Value};
use skep_api::{
    BuildCx, ConfigSection, Keypair, Multiaddr, PeerId,
    peerstore::{PeerStore, PeerStoreError, PeerStoreErrorKind},
};
use skep_policies::peerstore::redb::PLUGIN;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// A folder that goes when the test ends.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skep-peers-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("peers.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A store for this file, not opened.
pub(crate) fn build(path: &Path, more: &str, cx: &BuildCx) -> Arc<dyn PeerStore> {
    let mut table: Map<String, Value> = toml::from_str(more).unwrap();
    table.insert("path".into(), path.display().to_string().into());
    (PLUGIN.build)(&ConfigSection::from_table("peerstore.redb", table), cx).unwrap()
}

/// Opens a store that writes when it is flushed, so that nothing else holds its file when it is dropped.
pub(crate) fn open(path: &Path) -> Result<Arc<dyn PeerStore>, PeerStoreError> {
    open_with(path, "write_every = \"1h\"")
}

pub(crate) fn open_with(path: &Path, more: &str) -> Result<Arc<dyn PeerStore>, PeerStoreError> {
    let store = build(path, more, &skep_testkit::build_cx());
    store.open().map(|()| store)
}

/// What is wrong with this file; opening it must fail.
pub(crate) fn refusal(path: &Path) -> PeerStoreErrorKind {
    open(path).map(drop).unwrap_err().kind()
}

/// A peer that is the same on every run.
pub(crate) fn peer(n: u8) -> PeerId {
    key(n).public().to_peer_id()
}

pub(crate) fn key(n: u8) -> Keypair {
    Keypair::ed25519_from_bytes([n; 32]).unwrap()
}

pub(crate) fn addr(n: u32) -> Multiaddr {
    format!("/memory/{n}").parse().unwrap()
}
