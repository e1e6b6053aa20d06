//! Peer stores: the obligations `A1` to `A9` of [`skep_api::peerstore`].

mod bounds;
mod contents;
mod news;
mod place;
mod times;

pub use bounds::{
    a1_every_table_is_bounded, a1_peers_that_nobody_needs_go_first, a1_protocols_and_metadata_are_bounded,
};
pub use contents::{
    a5_what_was_flushed_is_there_after_a_restart, a6_only_the_peers_own_key_is_kept,
    a7_only_a_newer_record_is_kept, addresses_are_kept_without_the_peer, forgetting_leaves_nothing,
    peers_come_in_order, what_is_kept_comes_back,
};
pub use news::{
    a8_a_subscriber_that_does_not_read_holds_up_nobody, a8_new_addresses_are_told_once,
    a9_discoveries_that_nobody_reads_hold_up_nobody, a9_peers_are_discovered_once,
};
pub use place::Place;
pub use times::{a2_an_address_ends_with_its_time, a3_a_reclass_may_shorten, a3_adding_again_never_shortens};

use super::{build_from, path_of};
use crate::{
    cx::build_cx,
    harness::{self, Broken, During, broken, suite},
};
use place::Folder;
use serde_json::{Map, Value};
use skep_api::{
    ConfigErrors, Keypair, Multiaddr, PeerId, Plugin,
    peerstore::{PeerStore, PeerStoreErrorKind},
    plugin::layer,
    record::SignedRecord,
};
use std::{fmt, sync::Arc, time::Duration};

suite! { $
    /// Tests of a peer store with small caps, up to a thousand peers:
    /// `peerstore_suite!(my_store::PLUGIN, "max_peers = 8");`
    ///
    /// For one that keeps its data in a file, the key that takes the path is named as well:
    /// `peerstore_suite!(my_store::PLUGIN, ("max_peers = 8", "path"));`
    peerstore_suite in peerstore, fixture: Fixture;
    a1_every_table_is_bounded,
    a1_peers_that_nobody_needs_go_first,
    a1_protocols_and_metadata_are_bounded,
    a2_an_address_ends_with_its_time,
    a3_adding_again_never_shortens,
    a3_a_reclass_may_shorten,
    a5_what_was_flushed_is_there_after_a_restart,
    a6_only_the_peers_own_key_is_kept,
    a7_only_a_newer_record_is_kept,
    a8_new_addresses_are_told_once,
    a8_a_subscriber_that_does_not_read_holds_up_nobody,
    a9_peers_are_discovered_once,
    a9_discoveries_that_nobody_reads_hold_up_nobody,
    addresses_are_kept_without_the_peer,
    what_is_kept_comes_back,
    forgetting_leaves_nothing,
    peers_come_in_order,
}

type BuildStore = dyn Fn(Map<String, Value>) -> Result<Arc<dyn PeerStore>, ConfigErrors> + Send + Sync;

/// How to build the store under test, again and again, and where it keeps its data.
#[derive(Clone)]
pub struct Fixture {
    path: String,
    build: Arc<BuildStore>,
    place: Place,
}

/// A store that is open, and the folder of its file.
struct Kept {
    fixture: Fixture,
    table: Map<String, Value>,
    folder: Option<Folder>,
    store: Arc<dyn PeerStore>,
}

impl Fixture {
    /// Tests this plugin: in memory with a table in TOML, or with a table and the key that takes a path.
    ///
    /// # Panics
    /// If the table is no TOML.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Peerstore>, place: impl Into<Place>) -> Self {
        Self::new(path_of(&plugin), place, move |table| build_from(&plugin, table, &build_cx()))
    }

    /// Tests the stores that a function makes of a table; `path` is that of the table.
    ///
    /// # Panics
    /// If the table is no TOML.
    pub fn new<F>(path: impl Into<String>, place: impl Into<Place>, build: F) -> Self
    where
        F: Fn(Map<String, Value>) -> Result<Arc<dyn PeerStore>, ConfigErrors> + Send + Sync + 'static,
    {
        Self { path: path.into(), build: Arc::new(build), place: place.into() }
    }

    /// An empty store in a place of its own.
    fn store(&self) -> Result<Kept, Broken> {
        let (table, folder) = self.place.fresh()?;
        let store = (self.build)(table.clone()).during("the table is refused")?;
        store.open().during("open")?;
        Ok(Kept { fixture: self.clone(), table, folder, store })
    }

    /// Whether a store outlives its object.
    fn is_in_a_file(&self) -> bool {
        self.place.is_a_file()
    }
}

impl Kept {
    /// The store of the next process.
    async fn reopen(self) -> Result<Self, Broken> {
        let Self { fixture, table, folder, store } = self;
        drop(store);
        // Whoever writes behind may hold the file for a moment more.
        for turn in 0..1_000 {
            let store = (fixture.build)(table.clone()).during("the table is refused")?;
            match store.open() {
                Ok(()) => return Ok(Self { fixture, table, folder, store }),
                Err(e) if e.kind() == PeerStoreErrorKind::InUse => harness::breathe(turn).await,
                Err(e) => return Err(e).during("open again"),
            }
        }
        broken("the file of a store that was dropped stays in use")
    }
}

impl std::ops::Deref for Kept {
    type Target = dyn PeerStore;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixture({})", self.path)
    }
}

impl harness::Fixture for Fixture {}

const HOUR: Duration = Duration::from_secs(3_600);

fn addr(n: usize) -> Multiaddr {
    format!("/memory/{}", n.saturating_add(1)).parse().unwrap_or_else(|e| panic!("an address: {e}"))
}

/// The addresses of a peer, sorted.
fn addrs(store: &dyn PeerStore, peer: &PeerId) -> Vec<String> {
    let mut addrs: Vec<_> = store.addrs(peer).iter().map(|known| known.addr.to_string()).collect();
    addrs.sort_unstable();
    addrs
}

fn record(key: &Keypair, seq: u64, addrs: &[Multiaddr]) -> Result<SignedRecord, Broken> {
    SignedRecord::sign(key, seq, addrs).ok_or_else(|| Broken("a record cannot be signed".into()))
}
