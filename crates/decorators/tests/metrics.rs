//! `metrics`: what is counted where, and under which labels.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::{counting, linked, memory, muxed, noise, yamux};
use skep_api::{
    Keypair, Multiaddr,
    metrics::{Sink, Value},
    security::{Role, SecureCx, Verifier},
};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The value of a series; of a histogram, how many values it has.
fn value(sink: &Sink, metric: &str, labels: &[&str]) -> Option<u64> {
    let snapshots = sink.gather();
    let snapshot = snapshots.iter().find(|snapshot| snapshot.full_name == metric)?;
    let mut series = snapshot.series.iter();
    let series =
        series.find(|series| series.labels.iter().map(|(_, value)| &**value).eq(labels.iter().copied()))?;
    Some(match &series.value {
        Value::Counter(n) => *n,
        Value::Histogram { buckets, .. } => buckets.iter().map(|(_, n)| n).sum(),
        other => panic!("{other:?}"),
    })
}

fn operations(sink: &Sink, labels: [&str; 4]) -> u64 {
    value(sink, "skep_decorated_operations_total", &labels).unwrap_or(0)
}

fn bytes(sink: &Sink, layer: &str, plugin: &str, flow: &str) -> u64 {
    value(sink, "skep_decorated_bytes_total", &[layer, plugin, flow]).unwrap_or(0)
}

/// The same bytes below security, above it and in a stream, each place with its overhead.
#[tokio::test(start_paused = true)]
async fn bytes_are_counted_at_each_place() {
    const COUNT: usize = 100_000;
    let (decorator, sink) = counting();
    let transport = decorator.transport("memory", memory()).unwrap();
    let (a, b) = linked(&*transport, &*memory()).await;
    let upgrade = decorator.security("noise", noise(Keypair::generate_ed25519())).unwrap();
    let cx = |role| SecureCx::new(role, Verifier::new(None), Vec::new());
    let far = tokio::spawn(async move {
        let secured = noise(Keypair::generate_ed25519()).secure(b, cx(Role::Listener)).await.unwrap();
        let muxed = yamux().mux(secured.into_parts().0, Role::Listener);
        tokio::spawn(muxed.driver);
        let mut stream = muxed.conn.accept().await.unwrap();
        stream.read_exact(&mut vec![0; COUNT]).await.unwrap();
        stream.write_all(b"done").await.unwrap();
        stream.flush().await.unwrap();
        (muxed.conn, stream)
    });
    let secured = upgrade.secure(a, cx(Role::Dialer)).await.unwrap();
    let muxed = decorator.muxer("yamux", yamux()).unwrap().mux(secured.into_parts().0, Role::Dialer);
    tokio::spawn(muxed.driver);
    let mut stream = muxed.conn.open().await.unwrap();
    stream.write_all(&vec![1; COUNT]).await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    let _far = far.await.unwrap();

    let count = COUNT as u64;
    assert_eq!(bytes(&sink, "muxer", "yamux", "sent"), count);
    assert_eq!(bytes(&sink, "muxer", "yamux", "received"), 4);
    let framed = bytes(&sink, "security", "noise", "sent");
    assert!((count + 12..count + 1_000).contains(&framed), "{framed} bytes of yamux");
    let wire = bytes(&sink, "transport", "memory", "sent");
    assert!((framed + 16 + 32..framed + 2_000).contains(&wire), "{wire} bytes on the wire");

    assert_eq!(operations(&sink, ["transport", "memory", "dial", "ok"]), 1);
    assert_eq!(operations(&sink, ["security", "noise", "secure", "ok"]), 1);
    assert_eq!(operations(&sink, ["muxer", "yamux", "open", "ok"]), 1);
    let time = |labels: &[&str]| value(&sink, "skep_decorated_operation_duration_seconds", labels);
    assert_eq!(time(&["transport", "memory", "dial"]), Some(1));
    assert_eq!(time(&["security", "noise", "secure"]), Some(1));
    assert_eq!(sink.problems(), []);
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_by_their_code_and_what_is_dropped_as_cancelled() {
    let (decorator, sink) = counting();
    let transport = decorator.transport("memory/lan", memory()).unwrap();
    let addr: Multiaddr = "/memory/9".parse().unwrap();
    assert!(transport.dial(&addr).await.is_err());
    assert!(transport.dial(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()).await.is_err());
    assert_eq!(operations(&sink, ["transport", "memory/lan", "dial", "refused"]), 1);
    assert_eq!(operations(&sink, ["transport", "memory/lan", "dial", "unsupported_address"]), 1);

    let upgrade = decorator.security("noise", noise(Keypair::generate_ed25519())).unwrap();
    let (a, _b) = skep_testkit::duplex(skep_testkit::DuplexConfig::default());
    let cx = SecureCx::new(Role::Listener, Verifier::new(None), Vec::new());
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(1), upgrade.secure(a, cx));
    assert!(waiting.await.is_err());
    assert_eq!(operations(&sink, ["security", "noise", "secure", "cancelled"]), 1);

    let resolver = decorator.resolver("dns", inside::static_resolver()).unwrap();
    assert!(resolver.resolve(&"/dns/a.test/tcp/1".parse().unwrap()).await.is_err());
    resolver.resolve(&addr).await.unwrap();
    assert_eq!(operations(&sink, ["resolver", "dns", "resolve", "name_not_found"]), 1);
    assert_eq!(operations(&sink, ["resolver", "dns", "resolve", "ok"]), 0, "there was no name");
    assert_eq!(
        value(&sink, "skep_decorated_operation_duration_seconds", &["transport", "memory/lan", "dial"]),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn listening_is_counted_step_by_step() {
    let (decorator, sink) = counting();
    let transport = decorator.transport("memory", memory()).unwrap();
    let mut listening = transport.listen(&"/memory/0".parse().unwrap()).await.unwrap();
    let addr = listening.local_addrs().remove(0);
    let plain = memory();
    for accept in [true, true, false] {
        let (_dialed, incoming) = tokio::join!(plain.dial(&addr), listening.accept());
        let incoming = incoming.unwrap();
        if accept {
            incoming.accept().await.unwrap();
        } else {
            incoming.refuse();
        }
    }
    let counts = ["listen", "accept", "take", "refuse"]
        .map(|operation| operations(&sink, ["transport", "memory", operation, "ok"]));
    assert_eq!(counts, [1, 3, 2, 1]);
}

/// Places share the instruments, whichever is decorated first, and none of them goes to `other`.
#[tokio::test(start_paused = true)]
async fn every_series_has_labels_of_its_own() {
    let (decorator, sink) = counting();
    let names = ["tcp", "tcp/lan", "memory"];
    let transports = names.map(|name| decorator.transport(name, memory()).unwrap());
    for transport in &transports {
        drop(linked(&**transport, &*memory()).await);
        // Not an error of any other kind than `refused`.
        assert!(transport.dial(&"/memory/9".parse().unwrap()).await.is_err());
    }
    let (near, _far) = muxed(&*decorator.muxer("yamux", yamux()).unwrap(), &*yamux());
    near.close(skep_api::Code::NONE).await;
    assert!(near.open().await.is_err());
    for name in names {
        assert_eq!(operations(&sink, ["transport", name, "dial", "ok"]), 1, "{name}");
    }
    assert_eq!(operations(&sink, ["muxer", "yamux", "close", "ok"]), 1);
    assert_eq!(operations(&sink, ["muxer", "yamux", "open", "muxer_closed"]), 1);
    let overflow = sink.gather().into_iter().find(|snapshot| snapshot.name == skep_api::metrics::OVERFLOW);
    assert_eq!(overflow.unwrap().series, []);
    assert_eq!(sink.problems(), []);
}

/// A node without metrics has no layer more.
#[test]
fn without_a_sink_the_plugin_stays_as_it_is() {
    let plugin = skep_decorators::metrics::PLUGIN;
    let decorator = inside::decorator(&plugin, "");
    let inner = memory();
    assert!(Arc::ptr_eq(&decorator.transport("memory", Arc::clone(&inner)).unwrap(), &inner));
}
