//! Reloads while streams are in use.

use super::{configs, profile, registry, start, state};
use crate::support::{ECHO, from_env, memory_node};
use fastrand::Rng;
use skep::{
    Swarm,
    api::Multiaddr,
    swarm::{NetStream, ReloadError, ReloadOptions},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Echoes on a stream until it is told to stop; how many messages came back. A stream that is dropped, reset, or that
/// gives other bytes fails the test.
fn load(mut stream: NetStream, stop: CancellationToken) -> JoinHandle<u32> {
    tokio::spawn(async move {
        let (mut n, mut back) = (0_u32, [0; 8]);
        while !stop.is_cancelled() {
            let message = u64::from(n).to_be_bytes();
            stream.write_all(&message).await.unwrap();
            stream.flush().await.unwrap();
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(back, message);
            n += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stream.finish().await.unwrap();
        n
    })
}

/// A peer with streams in use, opened by it and by the node.
async fn busy(node: &Swarm, port: u64, stop: &CancellationToken) -> (Swarm, Vec<JoinHandle<u32>>) {
    let peer = memory_node();
    let addr: Multiaddr = format!("/memory/{port}").parse().unwrap();
    let conn = peer.dial_addr(&addr).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        let stream = conn.open_stream(&[ECHO.into()]).await.unwrap();
        streams.push(load(stream, stop.clone()));
    }
    let back = node.connection(&peer.peer_id()).unwrap().open_stream(&[ECHO.into()]).await.unwrap();
    streams.push(load(back, stop.clone()));
    (peer, streams)
}

async fn there_and_back(seed: u64) {
    let (mut rng, registry) = (Rng::with_seed(seed), registry());
    let port = 7_000_000 + seed * 100;
    let texts = [configs::random(&mut rng, port), configs::random(&mut rng, port)];
    let node = start(&texts[0], &registry).await;
    crate::support::serve_tests(&node);
    let stop = CancellationToken::new();
    let (peer, streams) = busy(&node, port, &stop).await;
    let connections: Vec<_> = node.connections().iter().map(|conn| conn.id()).collect();
    let states = {
        let mut states = Vec::new();
        for text in &texts {
            // The same ports may not be taken twice: a fresh start with this is had elsewhere.
            let fresh = start(&text.replace(&port.to_string()[..4], "8888"), &registry).await;
            crate::support::serve_tests(&fresh);
            states.push(state(&fresh).replace("8888", &port.to_string()[..4]));
            fresh.shutdown(Duration::from_secs(1)).await;
        }
        states
    };
    for round in 0..4 {
        tokio::time::sleep(Duration::from_millis(rng.u64(5..25))).await;
        let which = (round + 1) % 2;
        let report = node.reload(&profile(&texts[which]), ReloadOptions::default()).await.unwrap();
        assert_eq!(state(&node), states[which], "seed {seed}, round {round}: not as a fresh start");
        if texts[0] != texts[1] {
            assert!(!report.changes.is_empty(), "seed {seed}, round {round}:\n{}\n{}", texts[0], texts[1]);
        }
        let now: Vec<_> = node.connections().iter().map(|conn| conn.id()).collect();
        assert_eq!(now, connections, "seed {seed}, round {round}");
    }
    stop.cancel();
    for stream in streams {
        assert!(stream.await.unwrap() > 3, "seed {seed}");
    }
    let again = node.reload(&profile(&texts[0]), ReloadOptions::default()).await.unwrap();
    assert!(again.changes.is_empty() && again.started.is_empty(), "{again:?}");
    peer.shutdown(Duration::from_secs(1)).await;
    node.shutdown(Duration::from_secs(1)).await;
}

/// A → B → A → B → A of random configurations: no stream is dropped, and the node is as one that was started with the
/// last of them.
#[tokio::test(start_paused = true)]
async fn random_configurations_there_and_back() {
    for seed in 0..from_env("SKEP_TEST_CASES", 48) {
        there_and_back(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_at_once_are_one_and_a_refusal() {
    let registry = registry();
    let texts = [6, 7].map(|seed| configs::random(&mut Rng::with_seed(seed), 9_000_000));
    let node = start(&texts[0], &registry).await;
    let [a, b] = texts.each_ref().map(|text| profile(text));
    let (first, second) =
        tokio::join!(node.reload(&b, ReloadOptions::default()), node.reload(&a, ReloadOptions::default()),);
    assert!(first.is_ok() && matches!(second, Err(ReloadError::Busy)), "{first:?} {second:?}");
    node.shutdown(Duration::from_secs(1)).await;
    let late = node.reload(&a, ReloadOptions::default()).await;
    assert!(matches!(late, Err(ReloadError::ShuttingDown)), "{late:?}");
}

/// Nobody waits for it: it takes place all the same.
#[tokio::test(start_paused = true)]
async fn a_reload_that_nobody_waits_for_comes_to_its_end() {
    let registry = registry();
    let texts = [8, 9].map(|seed| configs::random(&mut Rng::with_seed(seed), 9_100_000));
    let node = start(&texts[0], &registry).await;
    let next = profile(&texts[1]);
    {
        let reload = node.reload(&next, ReloadOptions::default());
        tokio::pin!(reload);
        assert!(futures::poll!(reload.as_mut()).is_pending());
    }
    while node
        .reload(&next, ReloadOptions::default().dry_run(true))
        .await
        .map_or(true, |r| !r.changes.is_empty())
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.plan().unwrap().show(), start_elsewhere(&texts[1], &registry).await);
    node.shutdown(Duration::from_secs(1)).await;
}

async fn start_elsewhere(text: &str, registry: &skep::swarm::registry::Registry) -> String {
    profile(text).check(registry, None).unwrap().show()
}
