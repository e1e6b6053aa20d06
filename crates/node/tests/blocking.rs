//! Handlers that block their thread, that panic, that never return: all others go on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use async_trait::async_trait;
use skep::{
    Swarm, SwarmConn,
    api::{
        ConfigSection, Multiaddr,
        protocol::{InboundStream, ProtocolError, ProtocolHandler},
    },
};
use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{PANIC, echo_works, layers, listen, tcp_node};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, Runtime},
};

/// Blocks its thread until it is let go.
const BLOCK: &str = "/test/block/1";
/// Never returns.
const NEVER: &str = "/test/never/1";
/// Threads of each runtime.
const WORKERS: usize = 2;
/// Only a test that fails takes so long.
const HANG: Duration = Duration::from_secs(60);

/// Those who block, and the door that lets them go.
#[derive(Debug, Default)]
struct Door {
    entered: AtomicUsize,
    left: AtomicUsize,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Door {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// Blocks the thread.
    fn pass(&self) {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_timeout_while(open, HANG, |open| !*open).unwrap());
        self.left.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Bad(Arc<Door>);

#[async_trait]
impl ProtocolHandler for Bad {
    fn protocols(&self) -> Vec<String> {
        vec![BLOCK.into(), NEVER.into()]
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        if inbound.protocol == NEVER {
            let _stream = inbound.stream;
            std::future::pending::<()>().await;
        }
        self.0.pass();
        Ok(())
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap()
}

/// A node with a bad handler, and where it is. Its handlers run on `handlers`, if that is given.
async fn node(handlers: Option<&Runtime>) -> (Swarm, Multiaddr, Arc<Door>) {
    let door = Arc::new(Door::default());
    let mut builder = layers().protocol("bad", Arc::new(Bad(Arc::clone(&door))));
    if let Some(handlers) = handlers {
        builder = builder.handler_runtime(handlers.handle().clone());
    }
    let cx = builder.build_cx().clone();
    let tcp = (skep::transport_tcp::PLUGIN.build)(&ConfigSection::empty("transport.tcp"), &cx).unwrap();
    let node = builder.transport("tcp", tcp).build().unwrap();
    let addr = listen(&node, "/ip4/127.0.0.1/tcp/0").await;
    (node, addr, door)
}

async fn pings(conn: &SwarmConn, many: usize) {
    let mut stream = conn.open_stream(&[skep::protocols::ping::PROTOCOL.into()]).await.unwrap();
    for _ in 0..many {
        skep::protocols::ping::ping(&mut stream).await.unwrap();
    }
}

/// Opens a stream whose handler begins.
async fn open(conn: &SwarmConn, protocol: &str) -> skep::NetStream {
    let mut stream = conn.open_stream(&[protocol.into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.flush().await.unwrap();
    stream
}

/// Waits in real time, without a runtime: for what happens on other threads.
fn until(what: impl Fn() -> bool) {
    while !what() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn handlers_that_block_every_thread_they_have_hold_up_no_other_peer() {
    let (of_the_node, of_handlers, of_peers) = (runtime(), runtime(), runtime());
    let (node, addr, door) = of_the_node.block_on(node(Some(&of_handlers)));
    let (connected, blocking) = of_peers.block_on(async {
        let (quiet, loud) = (tcp_node(), tcp_node());
        let connected = quiet.dial_addr(&addr).await.unwrap();
        pings(&connected, 1).await;
        let loud = loud.dial_addr(&addr).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..WORKERS + 2 {
            streams.push(open(&loud, BLOCK).await);
        }
        ((quiet, connected), (loud, streams))
    });
    until(|| door.entered.load(Ordering::SeqCst) == WORKERS);
    of_peers.block_on(async {
        // Of a peer that is there, of one that comes, and of the very peer whose streams block.
        pings(&connected.1, 100).await;
        let late = tcp_node().dial_addr(&addr).await.unwrap();
        pings(&late, 100).await;
        pings(&blocking.0, 100).await;
    });
    assert_eq!((door.entered.load(Ordering::SeqCst), door.left.load(Ordering::SeqCst)), (WORKERS, 0));
    door.open();
    until(|| door.left.load(Ordering::SeqCst) == WORKERS + 2);
    of_peers.block_on(echo_works(&connected.1));
    let report = of_the_node.block_on(node.shutdown(Duration::from_secs(20)));
    assert!(report.forced.is_empty(), "{report:?}");
}

#[test]
fn handlers_that_panic_or_never_return_end_nothing_else() {
    for apart in [false, true] {
        let (of_the_node, of_handlers) = (runtime(), runtime());
        of_the_node.block_on(async {
            let (node, addr, _) = node(apart.then_some(&of_handlers)).await;
            let peer = tcp_node();
            let conn = peer.dial_addr(&addr).await.unwrap();
            let mut streams = Vec::new();
            for n in 1..=10 {
                streams.push(open(&conn, NEVER).await);
                let mut panicking = conn.open_stream(&[PANIC.into()]).await.unwrap();
                assert!(panicking.read(&mut [0; 1]).await.is_err());
                pings(&conn, 10).await;
                echo_works(&conn).await;
                while node.metrics().panics < n {
                    tokio::task::yield_now().await;
                }
            }
            let other = tcp_node().dial_addr(&addr).await.unwrap();
            pings(&other, 10).await;
            assert_eq!(node.metrics().panics, 10);
            // Those that never return are ended with the node, and named.
            let report = node.shutdown(Duration::from_millis(300)).await;
            let name = if apart { "handler" } else { "stream" };
            assert_eq!(report.forced.get(name), Some(&10), "{report:?}");
            assert_eq!(node.metrics().tasks, 0);
        });
    }
}

#[test]
fn a_shutdown_does_not_wait_for_a_thread_that_is_blocked() {
    let (of_the_node, of_handlers) = (runtime(), runtime());
    let door = of_the_node.block_on(async {
        let (node, addr, door) = node(Some(&of_handlers)).await;
        let peer = tcp_node();
        let conn = peer.dial_addr(&addr).await.unwrap();
        let _stream = open(&conn, BLOCK).await;
        while door.entered.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let report = node.shutdown(Duration::from_millis(300)).await;
        assert_eq!(report.forced.get("handler"), Some(&1), "{report:?}");
        // It is left behind, and ends when its thread is free again.
        assert_eq!((node.metrics().tasks, door.left.load(Ordering::SeqCst)), (1, 0));
        door.open();
        while node.metrics().tasks > 0 {
            tokio::task::yield_now().await;
        }
        door
    });
    assert_eq!(door.left.load(Ordering::SeqCst), 1);
}
