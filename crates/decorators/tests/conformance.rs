//! What plugins owe, through each decorator with settings that do no harm.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::{
    decorator, memory, noise,
    odd::{self, OddMuxer, OddUpgrade},
    static_resolver, tcp, whole, yamux,
};
use skep_api::{
    CloseReason, Code, PeerId,
    decorator::Decorator,
    multiaddr::Protocol,
    muxer::{Muxed, MuxerErrorKind, Pulse},
    security::{Role, SecureCx, SecurityError, SecurityErrorKind, Verifier},
    transport::{Transport, TransportErrorKind},
};
use skep_testkit::{
    DuplexConfig, Failure, duplex, run_all,
    suite::{muxer, resolver, security, streams, transport},
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

mod plugins {
    macro_rules! plugins {
        ($($decorator:ident)+) => { $(
            mod $decorator {
                skep_testkit::plugin_suite!(skep_decorators::$decorator::PLUGIN);
            }
        )+ };
    }
    plugins! { metrics throttle chaos capture }
}

type Build = fn() -> Arc<dyn Decorator>;

/// What a decorator is around in these tests is what the profile would call `inner`.
const NAME: &str = "inner";

fn metrics() -> Arc<dyn Decorator> {
    inside::counting().0
}

/// Fast enough for a suite on real time, and slow enough that there is waiting.
fn throttle() -> Arc<dyn Decorator> {
    let table = "upload = \"64MiB\"\ndownload = \"64MiB\"\nconnection_upload = \"32MiB\"\n\
                 connection_download = \"32MiB\"\nburst = \"20ms\"";
    decorator(&skep_decorators::throttle::PLUGIN, table)
}

fn chaos() -> Arc<dyn Decorator> {
    decorator(&skep_decorators::chaos::PLUGIN, "seed = 7")
}

/// Chaos that changes when things happen, and not what.
fn late() -> Arc<dyn Decorator> {
    let table = "seed = 7\ndelay_percent = 50\ndelay = \"5ms\"\nbyte_delay_percent = 5\nbyte_delay = \"2ms\"";
    decorator(&skep_decorators::chaos::PLUGIN, table)
}

fn capture() -> Arc<dyn Decorator> {
    inside::capturing()
}

fn transports(listen: &str, inner: fn() -> Arc<dyn Transport>, build: Build) -> Vec<Failure> {
    let decorated = move || build().transport(NAME, inner()).unwrap();
    run_all(&transport::properties(), &transport::Fixture::on_sockets(listen.parse().unwrap(), decorated))
}

fn securities(build: Build) -> Vec<Failure> {
    let fixture = security::Fixture::new(move |key| build().security(NAME, noise(key)).unwrap());
    run_all(&security::properties(), &fixture)
}

fn muxers(build: Build) -> Vec<Failure> {
    let fixture = muxer::Fixture::new(move || build().muxer(NAME, yamux()).unwrap());
    run_all(&muxer::properties(), &fixture)
}

fn streams_of(duplex: DuplexConfig, build: Build) -> Vec<Failure> {
    let carries = streams::Carries::RESETS_AND_CLOSES;
    let decorated = move || build().muxer(NAME, yamux()).unwrap();
    run_all(&streams::properties(), &streams::Fixture::muxer(carries, duplex, decorated))
}

fn resolvers(build: Build) -> Vec<Failure> {
    let decorated = build().resolver(NAME, static_resolver()).unwrap();
    run_all(&resolver::properties(), &resolver::Fixture::in_memory(decorated, &[]))
}

macro_rules! harmless {
    ($($decorator:ident: $($suite:ident)+;)+) => { $(
        mod $decorator {
            use super::*;
            const BUILD: Build = super::$decorator;
            $(harmless!(@$suite);)+
        }
    )+ };
    (@transports) => {
        #[test]
        fn transports_over_memory() {
            assert_eq!(transports("/memory/0", memory, BUILD), []);
        }

        #[test]
        fn transports_over_tcp() {
            assert_eq!(transports("/ip4/127.0.0.1/tcp/0", tcp, BUILD), []);
        }

        #[test]
        fn transports_that_come_multiplexed() {
            assert_eq!(transports("/memory/0", whole, BUILD), []);
        }
    };
    (@securities) => {
        #[test]
        fn security_upgrades() {
            assert_eq!(securities(BUILD), []);
        }
    };
    (@muxers) => {
        #[test]
        fn muxers_and_their_connections() {
            assert_eq!(muxers(BUILD), []);
        }

        #[test]
        fn streams_of_muxers() {
            assert_eq!(streams_of(DuplexConfig::default(), BUILD), []);
        }

        #[test]
        fn streams_of_muxers_on_fragments() {
            assert_eq!(streams_of(DuplexConfig::short(1_021, 769).with_capacity(4_999), BUILD), []);
        }
    };
    (@resolvers) => {
        #[test]
        fn names() {
            assert_eq!(resolvers(BUILD), []);
        }
    };
}

harmless! {
    metrics: transports securities muxers resolvers;
    throttle: transports muxers;
    chaos: transports securities muxers resolvers;
    late: transports securities muxers resolvers;
    capture: transports securities muxers;
}

#[test]
fn a_layer_that_a_decorator_is_not_for_is_refused() {
    let (throttle, capture) = (throttle(), capture());
    assert!(throttle.security(NAME, noise(skep_api::Keypair::generate_ed25519())).is_none());
    assert!(throttle.resolver(NAME, static_resolver()).is_none());
    assert!(capture.resolver(NAME, static_resolver()).is_none());
}

/// T6. The error of the verifier stays inside of that of a transport whose links come secured.
#[tokio::test]
async fn another_peer_is_found_out_through_each_decorator() {
    for build in [metrics as Build, throttle, chaos, capture] {
        let transport = build().transport(NAME, whole()).unwrap();
        let mut listener = transport.listen(&"/memory/0".parse().unwrap()).await.unwrap();
        let addr = listener.local_addrs().remove(0).with(Protocol::P2p(PeerId::random()));
        let accepting = tokio::spawn(async move { listener.accept().await.unwrap().accept().await });
        let error = transport.dial(&addr).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Handshake);
        let source = error.into_source().unwrap().downcast::<SecurityError>().unwrap();
        assert_eq!(source.kind(), SecurityErrorKind::WrongPeer);
        assert!(accepting.await.unwrap().is_err());
    }
}

/// What plugins say of themselves comes through, also what the contracts give a default for.
#[test]
fn what_plugins_claim_comes_through() {
    for build in [metrics as Build, throttle, chaos, capture] {
        let decorator = build();
        let inner = tcp();
        let outer = decorator.transport(NAME, inner.clone()).unwrap();
        assert_eq!(outer.capabilities(), inner.capabilities());
        for addr in ["/ip4/127.0.0.1/tcp/1", "/memory/1"] {
            assert_eq!(outer.supports(&addr.parse().unwrap()), inner.supports(&addr.parse().unwrap()));
        }
        if let Some(outer) = decorator.security(NAME, Arc::new(OddUpgrade)) {
            assert_eq!((outer.protocol(), outer.insecure(), outer.at_full_speed()), ("/odd", true, false));
        }
    }
}

/// What a handshake has found out comes through.
#[tokio::test]
async fn what_was_agreed_on_comes_through() {
    for build in [metrics as Build, chaos, capture] {
        let upgrade = build().security(NAME, Arc::new(OddUpgrade)).unwrap();
        let cx = SecureCx::new(Role::Dialer, Verifier::new(None), Vec::new());
        let secured = upgrade.secure(duplex(DuplexConfig::default()).0, cx).await.unwrap();
        assert_eq!(secured.early_muxer(), Some("/a"));
        assert_eq!(secured.peer_muxers(), ["/a", "/b"]);
    }
}

/// What a connection says of its peer and of itself comes through, and so does why it ended.
#[tokio::test]
async fn what_connections_say_comes_through() {
    for build in [metrics as Build, throttle, chaos, capture] {
        let inner = Arc::new(OddMuxer::default());
        let muxer = build().muxer(NAME, inner.clone()).unwrap();
        assert_eq!(muxer.protocol(), "/odd");
        let Muxed { conn, driver } = muxer.mux(duplex(DuplexConfig::default()).0, Role::Dialer);
        assert_eq!((conn.num_streams(), conn.unsent()), (5, 11));
        assert_eq!(conn.pulse(), Some(Pulse::new(odd::PULSE.0, odd::PULSE.1)));
        conn.probe();
        assert_eq!(inner.probes.load(Relaxed), 1);
        assert_eq!(conn.open().await.unwrap_err().kind(), MuxerErrorKind::TooManyStreams);
        assert_eq!(conn.accept().await.unwrap_err().kind(), MuxerErrorKind::Closed);
        assert_eq!(driver.await, CloseReason::remote(Code(3)));
    }
}

/// The descriptors are of decorators.
#[test]
fn the_layer_is_that_of_decorators() {
    let plugin = skep_decorators::throttle::PLUGIN;
    assert_eq!((plugin.info().layer, plugin.info().stack_key), ("decorator", "decorators"));
}
