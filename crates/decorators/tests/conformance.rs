//! What plugins owe, through each decorator with settings that do no harm.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::{decorator, memory, noise, static_resolver, tcp, whole, yamux};
use skep_api::{
    PeerId,
    decorator::Decorator,
    multiaddr::Protocol,
    security::{SecurityError, SecurityErrorKind},
    transport::{Transport, TransportErrorKind},
};
use skep_testkit::{
    DuplexConfig, Failure, run_all,
    suite::{muxer, resolver, security, streams, transport},
};
use std::sync::Arc;

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
    inside::capturing().0
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
            // Raw links alone ignore who answers; see `another_peer_is_found_out_through_each_decorator`.
            let broken = transports("/memory/0", whole, BUILD);
            let names: Vec<_> = broken.iter().map(|failure| failure.property).collect();
            assert_eq!(names, ["t6_a_peer_suffix_is_ignored"], "{broken:?}");
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
        let outer = decorator.muxer(NAME, yamux()).unwrap();
        assert_eq!(outer.protocol(), yamux().protocol());
        if let Some(outer) = decorator.security(NAME, inside::odd_upgrade()) {
            assert_eq!((outer.protocol(), outer.insecure(), outer.at_full_speed()), ("/odd", true, false));
        }
    }
}

/// The descriptors are of decorators.
#[test]
fn the_layer_is_that_of_decorators() {
    let plugin = skep_decorators::throttle::PLUGIN;
    assert_eq!((plugin.info().layer, plugin.info().stack_key), ("decorator", "decorators"));
}
