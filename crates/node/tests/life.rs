//! How long a connection lives: leases, streams, protections, idleness, drain. In paused time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use skep::{
    DialSettings, Swarm, SwarmConn,
    api::{
        CloseReason, Code, Side,
        config::{DurationOrNever, DurationText},
        transport::RawLink,
    },
    protocols::ping::{self, ping},
    swarm::{Settings, StreamState},
    transport_memory::MemoryHub,
};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use support::{
    ECHO, echo_works,
    sim::{Sim, listener, on},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

const IDLE: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

/// A node that closes idle connections, connected to one that does not.
struct Scene {
    node: Swarm,
    peer: Swarm,
    conn: SwarmConn,
}

impl Scene {
    async fn new() -> Self {
        let settings = Settings { idle_timeout: DurationOrNever(Some(IDLE)), ..Settings::default() };
        Self::with(settings).await
    }

    async fn with(settings: Settings) -> Self {
        let hub = MemoryHub::new();
        let (peer, at) = listener(&hub).await;
        let node = on(&Sim::new(&hub)).settings(settings).build().unwrap();
        let conn = node.dial_addr(&at).await.unwrap();
        Self { node, peer, conn }
    }

    /// It is open just before the idle timeout is over, and closed for idleness just after.
    async fn ends_in(&self, timeout: Duration) {
        tokio::time::sleep(timeout - 2 * MS).await;
        assert!(self.conn.is_live(), "closed too early: {:?}", self.conn.close_reason());
        tokio::time::sleep(4 * MS).await;
        let Some(CloseReason::Closed { by, code, text }) = self.conn.close_reason() else {
            panic!("still open, or lost: {:?}", self.conn.close_reason());
        };
        assert_eq!((by, code), (Side::Local, Code::GARBAGE_COLLECTED));
        assert!(text.starts_with("of no use for 30s"), "{text}");
        assert!(text.ends_with("`swarm.idle_timeout` is 30s"), "{text}");
    }

    async fn stays_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
        assert!(self.conn.is_live(), "{:?}", self.conn.close_reason());
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_closed_after_the_idle_timeout() {
    let scene = Scene::new().await;
    let theirs = scene.peer.connections().remove(0);
    scene.ends_in(IDLE).await;
    // The peer is told why.
    assert_eq!(theirs.closed().await, CloseReason::remote(Code::GARBAGE_COLLECTED));
}

#[tokio::test(start_paused = true)]
async fn by_default_no_connection_is_idle() {
    let scene = Scene::with(Settings { dead_after: DurationOrNever::NEVER, ..Settings::default() }).await;
    scene.stays_for(Duration::from_secs(86_400)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_keeps_it_and_the_time_runs_from_its_end() {
    let scene = Scene::new().await;
    let (first, second) = (scene.conn.lease(), scene.conn.lease());
    scene.stays_for(10 * IDLE).await;
    drop(first);
    scene.stays_for(3 * IDLE + 7 * MS).await;
    drop(second);
    assert_eq!(scene.conn.num_leases(), 0);
    scene.ends_in(IDLE).await;
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_keeps_it_and_a_closed_one_does_not() {
    let scene = Scene::new().await;
    let mut stream = scene.conn.open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    scene.stays_for(5 * IDLE + 3 * MS).await;
    stream.finish().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    // Still held, but both directions have ended.
    assert_eq!((stream.state(), scene.conn.num_streams()), (StreamState::CloseBoth, 0));
    scene.ends_in(IDLE).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_peer_keeps_it_too() {
    let scene = Scene::new().await;
    let back = scene.peer.connections().remove(0);
    let mut stream = back.open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    scene.stays_for(5 * IDLE).await;
    drop(stream);
    tokio::time::sleep(MS).await;
    scene.ends_in(IDLE - MS).await;
}

#[tokio::test(start_paused = true)]
async fn ping_alone_does_not_keep_it() {
    let scene = Scene::new().await;
    let mut stream = scene.conn.open_stream(&[ping::PROTOCOL.into()]).await.unwrap();
    for _ in 0..14 {
        ping(&mut stream).await.unwrap();
        // Neither does one stream after the other, nor one of the peer's on which nothing is agreed.
        let mut another = scene.conn.open_stream(&[ping::PROTOCOL.into()]).await.unwrap();
        ping(&mut another).await.unwrap();
        let mut of_peer = scene.peer.connections()[0].open_stream(&["/unserved".into()]).await.unwrap();
        of_peer.write_all(b"x").await.unwrap();
        of_peer.read_u8().await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    scene.ends_in(IDLE - Duration::from_secs(28)).await;
}

#[tokio::test(start_paused = true)]
async fn a_protected_peer_keeps_it_until_the_last_protection_ends() {
    let scene = Scene::new().await;
    let peer = scene.peer.peer_id();
    scene.node.protect(&peer, "a").unwrap();
    scene.node.protect(&peer, "b").unwrap();
    scene.stays_for(4 * IDLE + 5 * MS).await;
    assert!(scene.node.unprotect(&peer, "a"));
    scene.stays_for(2 * IDLE).await;
    assert!(!scene.node.unprotect(&peer, "b"));
    scene.ends_in(IDLE).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_refuses_what_is_new_and_waits_for_what_is_busy() {
    let hub = MemoryHub::new();
    let (node, at) = listener(&hub).await;
    let idle = on(&Sim::new(&hub)).build().unwrap();
    let busy = on(&Sim::new(&hub)).build().unwrap();
    let resting = idle.dial_addr(&at).await.unwrap();
    let working = busy.dial_addr(&at).await.unwrap();
    let mut stream = working.open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"before").await.unwrap();
    stream.read_exact(&mut [0; 6]).await.unwrap();
    // Pings are not waited for.
    let mut pings = resting.open_stream(&[ping::PROTOCOL.into()]).await.unwrap();
    ping(&mut pings).await.unwrap();

    let draining = tokio::spawn({
        let node = node.clone();
        async move { node.drain(Duration::from_secs(60)).await }
    });
    assert_eq!(resting.closed().await, CloseReason::remote(Code::SHUTDOWN));
    assert!(node.listen_addrs().is_empty());
    idle.dial_addr(&at).await.expect_err("nobody listens any more");
    let mut late = working.open_stream(&[ECHO.into()]).await.unwrap();
    late.write_all(b"x").await.unwrap();
    late.read_u8().await.expect_err("new streams are refused");
    tokio::time::sleep(Duration::from_secs(30)).await;
    // What was under way goes on, to its end.
    stream.write_all(b"after").await.unwrap();
    stream.finish().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"after");
    assert_eq!(working.closed().await, CloseReason::remote(Code::SHUTDOWN));
    let report = draining.await.unwrap();
    assert_eq!((report.closed, report.busy, report.streams), (2, 0, 0));
    assert!(node.shutdown(Duration::from_secs(1)).await.forced.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_limit_and_says_who_was_busy() {
    let scene = Scene::with(Settings::default()).await;
    let mut stream = scene.conn.open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let report = scene.node.drain(Duration::from_secs(5)).await;
    assert_eq!((report.closed, report.busy, report.streams), (0, 1, 1));
    assert_eq!(report.elapsed, Duration::from_secs(5));
    scene.conn.open_stream(&[ECHO.into()]).await.expect("its own streams are its own business");
    scene.node.dial_peer(scene.peer.peer_id()).await.expect("there is a connection");
    scene.node.shutdown(Duration::from_secs(5)).await;
    echo_fails(&scene.conn).await;
}

/// A byte stream whose bytes can be made to vanish, both ways.
#[derive(Debug)]
struct Freezing {
    io: DuplexStream,
    frozen: Arc<AtomicBool>,
}

impl AsyncRead for Freezing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.frozen.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Freezing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.frozen.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_vanished_is_dead_after_its_time() {
    let dead_after = Duration::from_secs(60);
    let settings = || Settings { dead_after: DurationOrNever(Some(dead_after)), ..Settings::default() };
    let node = |settings| on(&Sim::new(&MemoryHub::new())).settings(settings).build().unwrap();
    let (a, b) = (node(settings()), node(settings()));
    let frozen = Arc::new(AtomicBool::new(false));
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let addr = |text: &str| text.parse::<skep::api::Multiaddr>().unwrap();
    let link = |io, frozen: &Arc<AtomicBool>| {
        let io = Freezing { io, frozen: Arc::clone(frozen) };
        RawLink { io: Box::new(io), local: addr("/memory/1"), remote: addr("/memory/2") }
    };
    let (ours, theirs) = tokio::join!(
        a.upgrade_outbound_raw_conn(link(ours, &frozen), b.peer_id()),
        b.upgrade_inbound_raw_conn(link(theirs, &frozen))
    );
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
    // As long as it answers it lives, though nobody says anything.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(ours.is_live() && theirs.is_live(), "{:?}", ours.close_reason());
    frozen.store(true, Ordering::SeqCst);
    let since = tokio::time::Instant::now();
    for conn in [ours, theirs] {
        let reason = conn.closed().await;
        let CloseReason::Lost { what } = &reason else { panic!("{reason}") };
        assert!(what.ends_with("`swarm.dead_after` is 1m"), "{what}");
        let after = since.elapsed();
        // It may have been heard half of the time before.
        assert!(after >= dead_after / 2 && after <= dead_after + MS, "{after:?}");
    }
    assert_eq!((a.metrics().permits, b.metrics().permits), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_slow_is_not_dead() {
    let hub = MemoryHub::new();
    let settings = Settings {
        dead_after: DurationOrNever::secs(60),
        upgrade_timeout: DurationText::secs(300),
        ..Settings::default()
    };
    let dial = DialSettings {
        timeout: DurationText::secs(300),
        public_timeout: DurationText::secs(300),
        connect_timeout: DurationText::secs(100),
        ..DialSettings::default()
    };
    // One way; a probe at 30 s is answered at 56 s.
    let sim = Sim::with_latency(&hub, Duration::from_secs(13));
    let peer = on(&sim).settings(settings.clone()).build().unwrap();
    let at = peer.listen(&"/memory/0".parse().unwrap()).await.unwrap().remove(0);
    let node = on(&sim).settings(settings).dial(dial).build().unwrap();
    let conn = node.dial_addr(&at).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(conn.is_live(), "{:?}", conn.close_reason());
    assert_eq!(conn.latency(), Some(Duration::from_secs(26)));
    drop(peer);
}

async fn echo_fails(conn: &SwarmConn) {
    conn.open_stream(&[ECHO.into()]).await.expect_err("the connection has ended");
}

#[tokio::test(start_paused = true)]
async fn the_echo_of_the_readme_lives_for_an_hour() {
    let scene = Scene::with(Settings { dead_after: DurationOrNever::secs(60), ..Settings::default() }).await;
    for _ in 0..6 {
        scene.stays_for(DurationText::secs(600).0).await;
        echo_works(&scene.conn).await;
    }
}
