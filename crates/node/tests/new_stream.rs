//! Opening streams: which connection carries them, waiting for room, dialling for them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use async_trait::async_trait;
use skep::{
    DialOptions, Swarm, SwarmConn,
    api::{
        BoxIo, Code, PeerId,
        muxer::{Muxed, MuxedConn, MuxedStream, Muxer, MuxerError, MuxerErrorKind},
        peerstore::Ttl,
        protocol::{InboundStream, ProtocolError, ProtocolErrorKind, ProtocolHandler},
        security::Role,
        selector::{ConnectionSelector, ConnectionView},
    },
    swarm::{
        HandlerLimits, NetStream, Settings, StreamOptions,
        error::{DialError, NewStreamError},
    },
    transport_memory::MemoryHub,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{
    ECHO, layers_around,
    sim::{Sim, listener, on, on_with},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MS: Duration = Duration::from_millis(1);

/// A peer that listens, and a node that knows where.
async fn pair(settings: Settings) -> (Swarm, Swarm) {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).settings(settings).build().unwrap();
    node.peerstore().unwrap().add_addrs(&peer.peer_id(), &[at], Ttl::For(Duration::from_secs(86_400)));
    (node, peer)
}

async fn echo(node: &Swarm, peer: PeerId) -> Result<NetStream, NewStreamError> {
    node.new_stream(peer, &[ECHO.into()]).await
}

async fn works(stream: &mut NetStream) {
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn a_stream_to_a_peer_without_a_connection_dials() {
    let (node, peer) = pair(Settings::default()).await;
    works(&mut echo(&node, peer.peer_id()).await.unwrap()).await;
    works(&mut echo(&node, peer.peer_id()).await.unwrap()).await;
    assert_eq!(node.total_connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_leave_to_dial_or_an_address_it_says_so() {
    let (node, peer) = pair(Settings::default()).await;
    let no_dial = StreamOptions::default().no_dial();
    let error = node.new_stream_with(peer.peer_id(), &[ECHO.into()], no_dial).await.unwrap_err();
    assert!(matches!(error, NewStreamError::NotConnected(_)), "{error}");
    let stranger = PeerId::random();
    let error = echo(&node, stranger).await.unwrap_err();
    let NewStreamError::Dial { peer, source: DialError::Refused { .. } } = &error else { panic!("{error}") };
    assert_eq!((*peer, error.to_string()), (stranger, format!("no connection to {stranger}")));
}

/// Names the oldest connection, whatever there is.
#[derive(Debug)]
struct Oldest;

impl ConnectionSelector for Oldest {
    fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
        connections.iter().map(|view| view.id).min()
    }
}

/// A muxer whose connections find out that they have ended when they are asked for a stream.
#[derive(Debug)]
struct Brittle {
    inner: Arc<dyn Muxer>,
    broken: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct BrittleConn {
    inner: Arc<dyn MuxedConn>,
    broken: Arc<AtomicUsize>,
}

impl Muxer for Brittle {
    fn protocol(&self) -> &str {
        self.inner.protocol()
    }

    fn mux(&self, io: BoxIo, role: Role) -> Muxed {
        let Muxed { conn, driver } = self.inner.mux(io, role);
        Muxed { conn: Arc::new(BrittleConn { inner: conn, broken: Arc::clone(&self.broken) }), driver }
    }
}

#[async_trait]
impl MuxedConn for BrittleConn {
    async fn open(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let one_less = self.broken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if one_less.is_ok() {
            // The driver finds out a little later.
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move { inner.close(Code::NONE).await });
            return Err(MuxerError::new(MuxerErrorKind::Closed, ""));
        }
        self.inner.open().await
    }

    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        self.inner.accept().await
    }

    async fn close(&self, code: Code) {
        self.inner.close(code).await;
    }

    fn num_streams(&self) -> usize {
        self.inner.num_streams()
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_has_just_died_falls_through_to_the_next_and_then_to_a_dial() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let broken = Arc::new(AtomicUsize::new(0));
    let brittle = Arc::clone(&broken);
    let layers = layers_around(|inner| Arc::new(Brittle { inner, broken: brittle }));
    let node = on_with(&Sim::new(&hub), layers).selector("oldest", Arc::new(Oldest)).build().unwrap();
    let id = peer.peer_id();
    node.peerstore().unwrap().add_addrs(&id, &[at], Ttl::For(Duration::from_secs(86_400)));
    for _ in 0..3 {
        node.dial_peer_with(id, DialOptions::default().always()).await.unwrap();
    }
    let mut ids: Vec<_> = node.connections_to(&id).iter().map(SwarmConn::id).collect();
    ids.sort_unstable();
    // Which is best has nothing to do with what the selector names.
    assert_eq!(node.connection(&id).unwrap().id(), ids[2]);

    // The first that is asked has died: the second carries it.
    broken.store(1, Ordering::SeqCst);
    let mut stream = echo(&node, id).await.unwrap();
    works(&mut stream).await;
    assert_eq!(stream.connection().id(), ids[1]);

    // All have died: a new one carries it.
    tokio::time::sleep(MS).await;
    broken.store(2, Ordering::SeqCst);
    let mut stream = echo(&node, id).await.unwrap();
    works(&mut stream).await;
    assert!(!ids.contains(&stream.connection().id()));
    tokio::time::sleep(MS).await;
    assert_eq!(node.total_connections(), 1);

    // A peer that takes connections and no streams is not dialled for ever.
    broken.store(usize::MAX, Ordering::SeqCst);
    let error = echo(&node, id).await.unwrap_err();
    let NewStreamError::Failed { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ProtocolErrorKind::Io);
    assert!(skep::api::error::chain(&error).contains("the connection has ended"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_stream_waits_in_order_for_room() {
    let settings = Settings { max_outbound_streams: 2, ..Settings::default() };
    let (node, peer) = pair(settings).await;
    let id = peer.peer_id();
    let mut held = vec![echo(&node, id).await.unwrap(), echo(&node, id).await.unwrap()];
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..4)
        .map(|n| {
            let (node, order) = (node.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                // In this order, for the test's sake.
                tokio::time::sleep(n * MS).await;
                let options = StreamOptions::default().timeout(Duration::from_secs(3600));
                let stream = node.new_stream_with(id, &[ECHO.into()], options).await.unwrap();
                order.lock().unwrap().push(n);
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(stream);
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(order.lock().unwrap().is_empty());
    held.pop();
    for waits in waiting {
        waits.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_room_ends_at_the_callers_deadline_and_names_the_key() {
    let settings = Settings { max_outbound_streams_total: 1, ..Settings::default() };
    let (node, peer) = pair(settings).await;
    let id = peer.peer_id();
    let held = echo(&node, id).await.unwrap();
    let options = StreamOptions::default().timeout(Duration::from_secs(3));
    let begun = tokio::time::Instant::now();
    let error = node.new_stream_with(id, &[ECHO.into()], options).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 3);
    let NewStreamError::Failed { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ProtocolErrorKind::TimedOut);
    let text = skep::api::error::chain(&error);
    assert!(text.ends_with("1 of 1 in use; raise `swarm.max_outbound_streams_total`"), "{text}");
    // Whoever gave up holds no place.
    drop(held);
    works(&mut echo(&node, id).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_once_however_the_stream_ends() {
    let settings = Settings { max_outbound_streams: 1, max_outbound_streams_total: 1, ..Settings::default() };
    let (node, peer) = pair(settings).await;
    let id = peer.peer_id();
    for end in 0..5 {
        let mut stream = echo(&node, id).await.unwrap();
        works(&mut stream).await;
        match end {
            0 => stream.reset(Code(7)),
            1 => {
                stream.finish().await.unwrap();
                stream.read_to_end(&mut Vec::new()).await.unwrap();
            }
            2 => {
                stream.stop_reading(Code(7));
                stream.finish().await.unwrap();
            }
            3 => stream.connection().close(Code::NONE).await,
            _ => {}
        }
        assert_eq!(stream.is_operational(), end == 3 || end == 4, "{end}");
        if end == 4 {
            drop(stream);
            works(&mut echo(&node, id).await.unwrap()).await;
            continue;
        }
        // Though it is still held.
        works(&mut echo(&node, id).await.unwrap()).await;
        drop(stream);
        let mut again = echo(&node, id).await.unwrap();
        works(&mut again).await;
        let options = StreamOptions::default().timeout(MS);
        node.new_stream_with(id, &[ECHO.into()], options).await.expect_err("there is one place, not two");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_room_is_passed_over() {
    let settings = Settings { max_outbound_streams: 1, ..Settings::default() };
    let (node, peer) = pair(settings).await;
    let id = peer.peer_id();
    for _ in 0..2 {
        node.dial_peer_with(id, DialOptions::default().always()).await.unwrap();
    }
    let (first, second) = (echo(&node, id).await.unwrap(), echo(&node, id).await.unwrap());
    assert_ne!(first.connection().id(), second.connection().id());
    let options = StreamOptions::default().timeout(MS);
    node.new_stream_with(id, &[ECHO.into()], options).await.expect_err("both are full");
}

/// Counts how often it is asked.
#[derive(Debug, Default)]
struct Asked(Arc<AtomicUsize>);

impl ConnectionSelector for Asked {
    fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
        self.0.fetch_add(1, Ordering::SeqCst);
        connections.first().map(|view| view.id)
    }
}

#[tokio::test(start_paused = true)]
async fn the_selector_is_asked_for_streams_alone() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let selector = Arc::new(Asked(Arc::clone(&asked)));
    let node = on(&Sim::new(&hub)).selector("asked", selector).build().unwrap();
    for _ in 0..2 {
        node.dial_addr_with(&at, DialOptions::default().always()).await.unwrap();
    }
    node.dial_addr(&at).await.unwrap();
    node.connection(&peer.peer_id()).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    works(&mut echo(&node, peer.peer_id()).await.unwrap()).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_proposed_is_told_before_anything_is_sent() {
    let (node, peer) = pair(Settings::default()).await;
    for (protocols, words) in [
        (vec![], "no protocol is proposed"),
        (vec!["echo".to_string()], "\"echo\" is no protocol id"),
        (vec!["/a\n".to_string()], "\"/a\\n\" is no protocol id"),
    ] {
        let error = node.new_stream(peer.peer_id(), &protocols).await.unwrap_err();
        let NewStreamError::Failed { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind(), ProtocolErrorKind::BadProposal);
        assert!(skep::api::error::chain(&error).contains(words), "{}", skep::api::error::chain(&error));
    }
    assert_eq!(node.total_connections(), 0);
}

#[derive(Debug, Default)]
struct Counting {
    now: Arc<AtomicUsize>,
}

#[async_trait]
impl ProtocolHandler for Counting {
    fn protocols(&self) -> Vec<String> {
        vec!["/test/counting/1".into()]
    }

    async fn serve(&self, mut inbound: InboundStream) -> Result<(), ProtocolError> {
        self.now.fetch_add(1, Ordering::SeqCst);
        let ended = inbound.stream.read_to_end(&mut Vec::new()).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        ended.map(drop).map_err(Into::into)
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_serves_as_many_streams_as_it_may() {
    let (node, peer) = pair(Settings::default()).await;
    let now = Arc::new(AtomicUsize::new(0));
    let limits = HandlerLimits { per_connection: Some(3), total: Some(2), per_peer: None };
    peer.add_handler_with(Arc::new(Counting { now: Arc::clone(&now) }), limits).unwrap();
    let protocol = ["/test/counting/1".to_string()];
    let mut streams = Vec::new();
    for n in 0..3 {
        let mut stream = node.new_stream(peer.peer_id(), &protocol).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        tokio::time::sleep(MS).await;
        assert_eq!(now.load(Ordering::SeqCst), (n + 1).min(2));
        streams.push(stream);
    }
    let error = streams[2].read_u8().await.unwrap_err();
    let reset = skep::api::stream::StreamError::of(&error).cloned();
    let by = skep::api::Side::Remote;
    assert_eq!(reset, Some(skep::api::stream::StreamError::Reset { by, code: Code::RESOURCE_LIMIT }));
    drop(streams);
    tokio::time::sleep(MS).await;
    let mut stream = node.new_stream(peer.peer_id(), &protocol).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    tokio::time::sleep(MS).await;
    assert_eq!(now.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_until_its_handler_has_returned() {
    #[derive(Debug)]
    struct Slow(Arc<AtomicUsize>);
    #[async_trait]
    impl ProtocolHandler for Slow {
        fn protocols(&self) -> Vec<String> {
            vec!["/test/slow/1".into()]
        }
        fn limits(&self) -> HandlerLimits {
            HandlerLimits { per_peer: Some(2), ..HandlerLimits::default() }
        }
        async fn serve(&self, _: InboundStream) -> Result<(), ProtocolError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(())
        }
    }
    let (node, peer) = pair(Settings::default()).await;
    let served = Arc::new(AtomicUsize::new(0));
    peer.add_handler(Arc::new(Slow(Arc::clone(&served)))).unwrap();
    // Whoever connects anew and anew gets no more than its share of the handler.
    for _ in 0..5 {
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = node.new_stream(peer.peer_id(), &["/test/slow/1".into()]).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            held.push(stream);
        }
        tokio::time::sleep(MS).await;
        node.close_peer(&peer.peer_id(), Code::NONE).await;
    }
    assert_eq!(served.load(Ordering::SeqCst), 2);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut stream = node.new_stream(peer.peer_id(), &["/test/slow/1".into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    tokio::time::sleep(MS).await;
    assert_eq!(served.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_function_serves_a_protocol() {
    let (node, peer) = pair(Settings::default()).await;
    peer.set_stream_handler("/test/shout/1", |mut inbound: InboundStream| async move {
        let mut text = String::new();
        inbound.stream.read_to_string(&mut text).await.unwrap();
        inbound.stream.write_all(text.to_uppercase().as_bytes()).await.unwrap();
        inbound.stream.shutdown().await.unwrap();
    })
    .unwrap();
    let mut stream = node.new_stream(peer.peer_id(), &["/test/shout/1".into()]).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.finish().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "HELLO");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_and_not_the_stream() {
    let (node, peer) = pair(Settings::default()).await;
    let mut stream = echo(&node, peer.peer_id()).await.unwrap();
    works(&mut stream).await;
    let begun = tokio::time::Instant::now();
    stream.set_deadline(Some(begun + Duration::from_secs(2)));
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed().as_secs()), (std::io::ErrorKind::TimedOut, 2));
    let told = skep::api::stream::StreamError::of(&error);
    assert_eq!(told, Some(&skep::api::stream::StreamError::DeadlineExceeded));
    // What need not wait is no matter of deadlines.
    stream.write_all(b"y").await.unwrap();
    stream.set_read_deadline(Some(begun + Duration::from_secs(60)));
    assert_eq!(stream.read_u8().await.unwrap(), b'y');
    stream.set_deadline(None);

    // A writer whose peer does not read.
    peer.set_stream_handler("/test/deaf/1", |inbound: InboundStream| async move {
        let _held = inbound;
        std::future::pending::<()>().await;
    })
    .unwrap();
    let mut deaf = node.new_stream(peer.peer_id(), &["/test/deaf/1".into()]).await.unwrap();
    deaf.set_write_deadline(Some(tokio::time::Instant::now() + Duration::from_secs(3)));
    let block = vec![0; 64 << 10];
    let error = loop {
        if let Err(error) = deaf.write_all(&block).await {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(deaf.is_operational());
    works(&mut stream).await;
}
