//! What a node tells and takes beside dialling: events, notifees, listeners, given links, tags, the tables.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use async_trait::async_trait;
use skep::{
    DialOptions, Swarm,
    api::{
        CloseReason, Code, ConfigSection, Multiaddr, PeerId, Side,
        peerstore::Ttl,
        security::Role,
        transport::{Incoming, Link, Listener, RawLink, Transport, TransportCapabilities, TransportError},
    },
    swarm::{
        ConnectionType, RawConnection, Settings, StreamState,
        error::{Cause, Stage},
        events::{Event, EventKinds, Events, Notifee, StreamEvent},
        upsert_add, upsert_bounded,
    },
    transport_memory::{MemoryHub, MemoryTransport},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use support::{
    ECHO, PANIC, echo_works, event, layers,
    sim::{Sim, listener, on},
    tcp_node,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MS: Duration = Duration::from_millis(1);

/// All events so far, each as a short word.
fn words(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next())
        .map(|event| match event {
            Event::Connected { .. } => "connected".into(),
            Event::Disconnected { .. } => "disconnected".into(),
            Event::Connectedness { now, .. } => format!("{now:?}"),
            Event::StreamOpened(stream) => format!("+{}{}", stream.protocol, stream.id),
            Event::StreamClosed(stream) => format!("-{}{}", stream.protocol, stream.id),
            other => format!("{other:?}"),
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_peer_come_in_order() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).build().unwrap();
    let mut here = node.events_of(EventKinds::ALL);
    let mut there = peer.events_of(EventKinds::ALL);
    let conn = node.dial_addr(&at).await.unwrap();
    let mut finished = conn.open_stream(&[ECHO.into()]).await.unwrap();
    finished.write_all(b"x").await.unwrap();
    finished.finish().await.unwrap();
    finished.read_to_end(&mut Vec::new()).await.unwrap();
    let mut held = conn.open_stream(&[ECHO.into()]).await.unwrap();
    held.write_all(b"x").await.unwrap();
    held.read_u8().await.unwrap();
    conn.close(Code::NONE).await;
    tokio::time::sleep(MS).await;
    let echo = |sign, n| format!("{sign}{ECHO}{n}");
    let expected = [
        "connected".to_string(),
        "Connected".into(),
        echo('+', 1),
        echo('-', 1),
        echo('+', 2),
        echo('-', 2),
        "disconnected".into(),
        "NotConnected".into(),
    ];
    assert_eq!(words(&mut here), expected);
    assert_eq!(words(&mut there), expected);
    // What is dropped after the end says nothing more.
    drop(held);
    assert!(words(&mut here).is_empty());
}

#[tokio::test(start_paused = true)]
async fn connectedness_is_of_the_peer_not_of_a_connection() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).build().unwrap();
    let mut events = node.events();
    let first = node.dial_addr(&at).await.unwrap();
    let second = node.dial_addr_with(&at, DialOptions::default().always()).await.unwrap().connection;
    assert_eq!(words(&mut events), ["connected", "Connected", "connected"]);
    first.close(Code::NONE).await;
    assert_eq!(words(&mut events), ["disconnected"]);
    second.close(Code::NONE).await;
    assert_eq!(words(&mut events), ["disconnected", "NotConnected"]);
    assert_eq!(second.connection_type(), ConnectionType::Direct);
    drop(peer);
}

#[derive(Default)]
struct Diary {
    lines: Mutex<Vec<String>>,
}

#[async_trait]
impl Notifee for Diary {
    async fn connected(&self, swarm: &Swarm, connection: u64, peer: PeerId) {
        // It may ask the node: nothing is locked.
        let known = swarm.connection_by_id(connection).is_some_and(|conn| conn.peer() == peer);
        self.lines.lock().unwrap().push(format!("connected {known}"));
        panic!("on purpose");
    }

    async fn opened_stream(&self, _: &Swarm, stream: StreamEvent) {
        self.lines.lock().unwrap().push(format!("opened {}", stream.protocol));
        std::future::pending::<()>().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_notifee_that_panics_or_hangs_touches_nothing() {
    let hub = MemoryHub::new();
    let (_peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).build().unwrap();
    let diary = Arc::new(Diary::default());
    let registration = node.register_notifee(Arc::clone(&diary) as _);
    let conn = node.dial_addr(&at).await.unwrap();
    for _ in 0..3 {
        echo_works(&conn).await;
    }
    tokio::time::sleep(MS).await;
    assert_eq!(*diary.lines.lock().unwrap(), ["connected true".to_string(), format!("opened {ECHO}")]);
    assert_eq!((node.metrics().panics, node.metrics().subscribers), (1, 1));
    assert!(node.metrics().waiting_events > 0);
    registration.unregister();
    tokio::time::sleep(MS).await;
    assert_eq!(node.metrics().subscribers, 0);
    assert!(node.shutdown(Duration::from_secs(1)).await.forced.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_ends_its_stream_and_no_more() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).build().unwrap();
    let conn = node.dial_addr(&at).await.unwrap();
    let mut stream = conn.open_stream(&[PANIC.into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_u8().await.unwrap_err();
    assert_eq!(stream.state(), StreamState::Reset);
    echo_works(&conn).await;
    assert_eq!((peer.metrics().panics, peer.metrics().streams), (1, 0));
}

#[tokio::test]
async fn listening_succeeds_for_some_addresses_and_says_why_not_for_others() {
    let node = tcp_node();
    let addr = |text: &str| text.parse::<Multiaddr>().unwrap();
    let asked =
        [addr("/ip4/127.0.0.1/tcp/0"), addr("/ip4/127.0.0.1/udp/0/quic-v1"), addr("/ip4/127.0.0.1/tcp/0")];
    let mut events = node.events();
    let outcomes = node.listen_all(&asked).await;
    assert_eq!(outcomes.iter().map(|o| o.asked.clone()).collect::<Vec<_>>(), asked);
    let bound = |n: usize| outcomes[n].result.as_ref().unwrap()[0].clone();
    assert_ne!(bound(0), bound(2));
    let error = outcomes[1].result.as_ref().unwrap_err();
    assert!(matches!(error.cause, Cause::NoTransport(_)), "{error}");
    let infos = node.listeners();
    assert_eq!((infos.len(), infos[0].transport.as_str(), infos[0].addrs[0].clone()), (2, "tcp", bound(0)));

    // One by the address it is bound to, the other by what was asked for. The port is free at once.
    assert!(node.remove_listener(&bound(2)).await);
    node.listen(&bound(2)).await.unwrap();
    assert!(node.remove_listener(&asked[0]).await);
    let closed: Vec<_> = std::iter::from_fn(|| events.try_next())
        .filter_map(
            |event| if let Event::ListenerClosed { addr, error: None } = event { Some(addr) } else { None },
        )
        .collect();
    assert_eq!(closed, [bound(2), bound(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_code_of_closing_reaches_the_peer_on_every_connection() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).build().unwrap();
    for _ in 0..3 {
        node.dial_addr_with(&at, DialOptions::default().always()).await.unwrap();
    }
    let theirs = peer.connections();
    assert_eq!(node.close_peer(&peer.peer_id(), Code(0x2345)).await, 3);
    assert_eq!(node.close_peer(&peer.peer_id(), Code(0x2345)).await, 0);
    for conn in theirs {
        let reason = conn.closed().await;
        assert!(
            matches!(&reason, CloseReason::Closed { by: Side::Remote, code: Code(0x2345), .. }),
            "{reason}"
        );
        assert_eq!(conn.close_reason(), Some(reason));
    }
    assert_eq!((node.total_connections(), node.connections_map().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_more_connection_to_a_peer_than_there_may_be_is_refused_with_the_key() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).build().unwrap();
    for n in 1..=3 {
        node.dial_addr_with(&at, DialOptions::default().always()).await.unwrap();
        assert_eq!(node.connections_to(&peer.peer_id()).len(), n);
    }
    let error = node.dial_addr_with(&at, DialOptions::default().always()).await.unwrap_err();
    let text = skep::api::error::chain(&error);
    assert!(text.contains("3 of 3 in use; raise `swarm.max_connections_per_peer`"), "{text}");
    assert_eq!(node.connections_map()[&peer.peer_id()].len(), 3);
}

/// A byte stream between two ends, made outside of any node.
async fn raw_links() -> (RawConnection, RawConnection) {
    let hub = MemoryHub::new();
    let transport = MemoryTransport::new(hub, skep::transport_memory::Config::default());
    let mut listener = transport.listen(&"/memory/7".parse().unwrap()).await.unwrap();
    let addr = listener.local_addrs().remove(0);
    let (dialled, accepted) =
        tokio::join!(transport.dial(&addr), async { listener.accept().await.unwrap().accept().await });
    let raw = |link| if let Link::Raw(raw) = link { raw } else { panic!("not raw") };
    (raw(dialled.unwrap()), raw(accepted.unwrap()))
}

#[tokio::test(start_paused = true)]
async fn links_from_elsewhere_go_the_rest_of_the_road() {
    let (a, b) = (tcp_node(), tcp_node());
    let (dialled, accepted): (RawLink, RawLink) = raw_links().await;
    let remote = dialled.remote.clone();
    let (out, inn) =
        tokio::join!(a.upgrade_outbound_raw_conn(dialled, b.peer_id()), b.upgrade_inbound_raw_conn(accepted));
    let (out, inn) = (out.unwrap(), inn.unwrap());
    assert_eq!((out.info().role, inn.info().role), (Role::Dialer, Role::Listener));
    assert_eq!((out.info().transport.as_str(), &out.info().remote), ("given", &remote));
    echo_works(&out).await;
    echo_works(&inn).await;
    assert!(a.remove_conn(&out).await);
    assert!(!a.remove_conn(&out).await);
    inn.closed().await;
    assert_eq!((a.metrics().permits, b.total_connections()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_link_from_elsewhere_to_another_peer_is_refused() {
    let (a, b) = (tcp_node(), tcp_node());
    let (dialled, accepted) = raw_links().await;
    let (out, inn) =
        tokio::join!(a.upgrade_outbound_raw_conn(dialled, a.peer_id()), b.upgrade_inbound_raw_conn(accepted));
    let error = out.unwrap_err();
    assert_eq!((error.stage, error.cause.code()), (Stage::Security, "wrong_peer"));
    inn.unwrap_err();
    assert_eq!((a.metrics().permits, b.metrics().permits), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn tags_outlive_a_connection_and_are_listed() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).build().unwrap();
    let id = peer.peer_id();
    node.tag_peer(&id, "dht", 5).unwrap();
    node.upsert_tag(&id, "dht", upsert_add(3)).unwrap();
    node.upsert_tag(&id, "pubsub", upsert_bounded(50, 0, 20)).unwrap();
    node.protect(&id, "app").unwrap();
    node.dial_addr(&at).await.unwrap().close(Code::NONE).await;
    let info = node.tag_info(&id).unwrap();
    assert_eq!((info.value(), info.protected_by.len()), (28, 1));
    assert_eq!(node.tagged_peers(10), [(id, info)]);
    assert!(node.is_protected(&id, None) && node.is_protected(&id, Some("app")));
    assert!(!node.is_protected(&id, Some("")));
    assert!(!node.unprotect(&id, "app"));
    assert!(node.untag_peer(&id, "dht") && node.untag_peer(&id, "pubsub") && !node.untag_peer(&id, "pubsub"));
    assert_eq!(node.tag_info(&id), None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_says_what_it_is() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).settings(Settings::default()).build().unwrap();
    node.peerstore().unwrap().add_addrs(&peer.peer_id(), &[at], Ttl::For(Duration::from_secs(60)));
    let conn = node.dial_peer(peer.peer_id()).await.unwrap();
    let info = conn.info();
    assert_eq!(
        (info.transport.as_str(), info.security.as_deref(), info.muxer.as_deref(), info.early_muxer),
        ("sim", Some("noise"), Some("yamux"), true)
    );
    let mut stream = conn.open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_u8().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let streams = conn.streams();
    assert_eq!((streams.len(), streams[0].id, streams[0].role), (1, stream.id(), Role::Dialer));
    assert_eq!((streams[0].protocol.as_deref(), streams[0].age), (Some(ECHO), Duration::from_secs(2)));
    let at_peer = peer.connections().remove(0).streams();
    assert_eq!((at_peer[0].role, at_peer[0].protocol.as_deref()), (Role::Listener, Some(ECHO)));
    assert_eq!(node.metrics().streams, 1);
}

#[tokio::test(start_paused = true)]
async fn events_end_with_the_node() {
    let hub = MemoryHub::new();
    let (_peer, at) = listener(&hub).await;
    let node = on(&Sim::new(&hub)).build().unwrap();
    let mut events = node.events();
    node.dial_addr(&at).await.unwrap();
    event(&mut events, |e| matches!(e, Event::Connectedness { .. }).then_some(())).await;
    node.shutdown(Duration::from_secs(1)).await;
    let reason =
        event(&mut events, |e| if let Event::Disconnected { reason, .. } = e { Some(reason) } else { None });
    assert_eq!(reason.await, CloseReason::local(Code::SHUTDOWN));
    while events.next().await.is_some() {}
}

/// A transport whose listeners have the addresses that the test says, and whom nobody dials.
#[derive(Clone, Debug, Default)]
struct Moving(Arc<Mutex<Vec<Multiaddr>>>);

#[async_trait]
impl Transport for Moving {
    fn supports(&self, _: &Multiaddr) -> bool {
        true
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::raw_stream()
    }

    async fn dial(&self, _: &Multiaddr) -> Result<Link, TransportError> {
        std::future::pending().await
    }

    async fn listen(&self, _: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Listener for Moving {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.0.lock().unwrap().clone()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_on_all_interfaces_tells_which_addresses_come_and_go() {
    let addr = |text: &str| text.parse::<Multiaddr>().unwrap();
    let moving = Moving::default();
    *moving.0.lock().unwrap() = vec![addr("/ip4/192.0.2.1/tcp/1"), addr("/ip4/192.0.2.2/tcp/1")];
    let node = layers().transport("moving", Arc::new(moving.clone())).build().unwrap();
    node.listen(&addr("/ip4/0.0.0.0/tcp/1")).await.unwrap();
    let mut events = node.events();
    *moving.0.lock().unwrap() = vec![addr("/ip4/192.0.2.2/tcp/1"), addr("/ip4/192.0.2.3/tcp/1")];
    let new = event(&mut events, |e| if let Event::Listening(addr) = e { Some(addr) } else { None }).await;
    let old =
        event(&mut events, |e| if let Event::AddressExpired(addr) = e { Some(addr) } else { None }).await;
    assert_eq!((new, old), (addr("/ip4/192.0.2.3/tcp/1"), addr("/ip4/192.0.2.1/tcp/1")));
    assert_eq!(node.listen_addrs(), *moving.0.lock().unwrap());
    // It can be ended by an address that it has by now.
    assert!(node.remove_listener(&addr("/ip4/192.0.2.3/tcp/1")).await);
}

#[tokio::test(start_paused = true)]
async fn what_the_resource_manager_denies_is_told_at_both_ends() {
    let hub = MemoryHub::new();
    let at = Sim::new(&hub);
    let builder = on(&at);
    let table = serde_json::json!({ "limits": { "peer": { "connections": 1, "streams_inbound": 1 } } });
    let section = ConfigSection::from_table("resources.scoped", table.as_object().unwrap().clone());
    let scoped = (skep::policies::resources::scoped::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    let peer = builder.resources("scoped", Arc::clone(&scoped)).build().unwrap();
    let addr = peer.listen(&"/memory/0".parse().unwrap()).await.unwrap().remove(0);
    let mut events = peer.events();
    let node = on(&Sim::new(&hub)).build().unwrap();
    let first = node.dial_addr(&addr).await.unwrap();
    let again = node.dial_addr_with(&addr, DialOptions::default().always()).await.unwrap().connection;
    assert_eq!(again.closed().await, CloseReason::remote(Code::RESOURCE_LIMIT));
    let error =
        event(&mut events, |e| if let Event::InboundFailed { error, .. } = e { Some(error) } else { None });
    let text = skep::api::error::chain(&*error.await);
    assert!(text.contains("1 of 1 in use; raise `resources.scoped.limits.peer.connections`"), "{text}");

    let mut held = first.open_stream(&[ECHO.into()]).await.unwrap();
    held.write_all(b"x").await.unwrap();
    held.read_u8().await.unwrap();
    let mut more = first.open_stream(&[ECHO.into()]).await.unwrap();
    more.write_all(b"x").await.unwrap();
    let error = more.read_u8().await.unwrap_err();
    let code = skep::api::stream::StreamError::Reset { by: Side::Remote, code: Code::RESOURCE_LIMIT };
    assert_eq!(skep::api::stream::StreamError::of(&error), Some(&code));
    // What ends is given back at once, and nothing is kept.
    drop((held, more));
    tokio::time::sleep(MS).await;
    echo_works(&first).await;
    first.close(Code::NONE).await;
    tokio::time::sleep(MS).await;
    let held = scoped.usage(100).into_iter().filter(|row| row.current > 0).count();
    assert_eq!(held, 0, "{:?}", scoped.usage(100));
}
