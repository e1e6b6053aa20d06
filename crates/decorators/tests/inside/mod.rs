//! What decorators are put around in these tests.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "shared by several tests, which fail by panicking"
)]

pub mod odd;
mod whole;

use async_trait::async_trait;
use skep_api::{
    BoxIo, ConfigSection, Keypair, Layer, Multiaddr, Plugin,
    address::has_name,
    decorator::Decorator,
    metrics::Sink,
    muxer::{Muxed, MuxedConn, Muxer},
    plugin::layer,
    resolver::{ResolveError, ResolveErrorKind, Resolver},
    security::{Role, Upgrader},
    transport::{Link, Transport},
};
use skep_testkit::{DuplexConfig, build_cx, build_cx_with, duplex};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// A section of this table in TOML.
pub fn section<L: Layer>(plugin: &Plugin<L>, table: &str) -> ConfigSection {
    ConfigSection::from_table(format!("{}.{}", L::NAME, plugin.name), toml::from_str(table).expect("TOML"))
}

pub fn decorator(plugin: &Plugin<layer::Decorator>, table: &str) -> Arc<dyn Decorator> {
    (plugin.build)(&section(plugin, table), &build_cx()).expect("the table is good")
}

pub fn tcp() -> Arc<dyn Transport> {
    let plugin = skep_transport_tcp::PLUGIN;
    (plugin.build)(&section(&plugin, ""), &build_cx()).expect("defaults")
}

pub fn memory() -> Arc<dyn Transport> {
    let plugin = skep_transport_memory::PLUGIN;
    (plugin.build)(&section(&plugin, ""), &build_cx()).expect("defaults")
}

/// A transport whose links come secured and multiplexed, as those of QUIC do.
pub fn whole() -> Arc<dyn Transport> {
    let key = Keypair::generate_ed25519();
    Arc::new(whole::Whole { transport: memory(), upgrade: noise(key), muxer: yamux() })
}

pub fn noise(key: Keypair) -> Arc<dyn Upgrader> {
    let plugin = skep_security_noise::PLUGIN;
    (plugin.build)(&section(&plugin, ""), &build_cx_with(key)).expect("defaults")
}

pub fn yamux() -> Arc<dyn Muxer> {
    let plugin = skep_muxer_yamux::PLUGIN;
    (plugin.build)(&section(&plugin, ""), &build_cx()).expect("defaults")
}

pub fn static_resolver() -> Arc<dyn Resolver> {
    Arc::new(Nameless)
}

/// A decorator that counts, and what it counts with.
pub fn counting() -> (Arc<dyn Decorator>, Sink) {
    let (plugin, sink) = (skep_decorators::metrics::PLUGIN, Sink::new());
    let cx = build_cx().with_metrics(sink.clone());
    ((plugin.build)(&section(&plugin, ""), &cx).expect("defaults"), sink)
}

/// A decorator that records into one of a few files, which the next ones overwrite.
pub fn capturing() -> Arc<dyn Decorator> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("capture-{}", NEXT.fetch_add(1, Relaxed) % 64);
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name).display().to_string();
    let table = format!("file = {file:?}\nexisting = \"overwrite\"\nmax_size = \"256KiB\"");
    decorator(&skep_decorators::capture::PLUGIN, &table)
}

/// Knows no name.
#[derive(Debug)]
struct Nameless;

#[async_trait]
impl Resolver for Nameless {
    async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
        if has_name(addr) {
            return Err(ResolveError::new(ResolveErrorKind::NotFound, addr.to_string()));
        }
        Ok(vec![addr.clone()])
    }
}

/// A folder for the files of one test, which goes with it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skep-decorators-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A raw link over a transport: the end that dialled through `dialer`, and the end that was accepted by `listener`.
pub async fn linked(dialer: &dyn Transport, listener: &dyn Transport) -> (BoxIo, BoxIo) {
    let mut listening = listener.listen(&"/memory/0".parse().expect("an address")).await.expect("listen");
    let addr = listening.local_addrs().remove(0);
    let (dialed, incoming) = tokio::join!(dialer.dial(&addr), listening.accept());
    let accepted = incoming.expect("accept").accept().await.expect("take");
    match (dialed.expect("dial"), accepted) {
        (Link::Raw(dialed), Link::Raw(accepted)) => (dialed.io, accepted.io),
        links => panic!("raw links are expected: {links:?}"),
    }
}

/// Two muxers over an in-memory duplex, with their drivers in tasks.
pub fn muxed(dialer: &dyn Muxer, listener: &dyn Muxer) -> (Arc<dyn MuxedConn>, Arc<dyn MuxedConn>) {
    let (a, b) = duplex(DuplexConfig::default());
    let start = |muxer: &dyn Muxer, io, role| {
        let Muxed { conn, driver } = muxer.mux(io, role);
        tokio::spawn(driver);
        conn
    };
    (start(dialer, a, Role::Dialer), start(listener, b, Role::Listener))
}
