//! `chaos`: the same seed and the same calls give the same faults, and without percentages it changes nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::{memory, muxed, yamux};
use proptest::prelude::*;
use skep_api::{BoxIo, Multiaddr, decorator::Decorator, transport::Link};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

/// A call, of the byte stream with this number where it is one of a stream.
#[derive(Clone, Debug)]
enum Call {
    Connect,
    Write(usize, usize),
    Read(usize, usize),
    PeerWrites(usize, usize),
    PeerReads(usize, usize),
    Finish(usize),
    Drop(usize),
}

fn call() -> impl Strategy<Value = Call> {
    let amount = || (0..6usize, 1..3_000usize);
    prop_oneof![
        3 => Just(Call::Connect),
        5 => amount().prop_map(|(at, n)| Call::Write(at, n)),
        5 => amount().prop_map(|(at, n)| Call::Read(at, n)),
        5 => amount().prop_map(|(at, n)| Call::PeerWrites(at, n)),
        5 => amount().prop_map(|(at, n)| Call::PeerReads(at, n)),
        1 => (0..6usize).prop_map(Call::Finish),
        1 => (0..6usize).prop_map(Call::Drop),
    ]
}

fn chaos(table: &str) -> Arc<dyn Decorator> {
    inside::decorator(&skep_decorators::chaos::PLUGIN, table)
}

/// Every fault there is, often and early.
fn all_faults(seed: u64) -> Arc<dyn Decorator> {
    chaos(&format!(
        "seed = {seed}\nfail_dials = [2]\nfail_dial_percent = 20\nfail_open_percent = 20\n\
         delay_percent = 30\ndelay = \"500ms\"\nbyte_delay_percent = 20\nbyte_delay = \"3s\"\n\
         reset_percent = 30\ndrop_percent = 30\ncorrupt_percent = 60\nwithin = 2000"
    ))
}

/// Does the calls, and writes down what each came to and when.
async fn trace(
    calls: &[Call],
    mut connect: impl AsyncFnMut() -> Result<(BoxIo, BoxIo), String>,
) -> Vec<String> {
    let (begun, mut ends) = (Instant::now(), Vec::<Option<(BoxIo, BoxIo)>>::new());
    let mut trace = Vec::new();
    for call in calls {
        let at = match call {
            Call::Connect => {
                let result = connect().await;
                trace.push(format!("{call:?} {:?} {:?}", begun.elapsed(), result.as_ref().map(drop)));
                ends.extend(result.ok().map(Some));
                continue;
            }
            Call::Write(at, _) | Call::Read(at, _) | Call::PeerWrites(at, _) | Call::PeerReads(at, _) => *at,
            Call::Finish(at) | Call::Drop(at) => *at,
        };
        let Some(end) = ends.get_mut(at) else { continue };
        let Some((near, far)) = end else { continue };
        let call_it = async {
            let text = match call {
                Call::Write(_, n) => format!("{:?}", near.write(&vec![7; *n]).await),
                Call::PeerWrites(_, n) => format!("{:?}", far.write(&vec![7; *n]).await),
                Call::Read(_, n) => read(near, *n).await,
                Call::PeerReads(_, n) => read(far, *n).await,
                _ => format!("{:?}", near.shutdown().await),
            };
            // What was written is on its way.
            drop((near.flush().await, far.flush().await));
            text
        };
        let outcome = timeout(Duration::from_secs(2), call_it).await;
        trace.push(format!("{call:?} {:?} {outcome:?}", begun.elapsed()));
        if matches!(call, Call::Drop(_)) {
            *end = None;
        }
    }
    trace
}

async fn read(io: &mut BoxIo, most: usize) -> String {
    let mut bytes = vec![0; most];
    match io.read(&mut bytes).await {
        Ok(n) => format!("{n} {:?}", bytes.iter().take(n).enumerate().find(|(_, byte)| **byte != 7)),
        Err(e) => format!("{e}"),
    }
}

/// Over raw links; `None` is the transport itself.
async fn over_links(calls: &[Call], decorator: Option<Arc<dyn Decorator>>) -> Vec<String> {
    let plain = memory();
    let near = decorator.map_or(memory(), |decorator| decorator.transport("memory", memory()).unwrap());
    let mut listening = plain.listen(&"/memory/0".parse::<Multiaddr>().unwrap()).await.unwrap();
    let addr = listening.local_addrs().remove(0);
    trace(calls, async || {
        let no_port = |text: String| text.replace(&addr.to_string(), "there");
        let dialed = near.dial(&addr).await.map_err(|e| no_port(e.to_string()))?;
        let accepted = listening.accept().await.unwrap().accept().await.unwrap();
        match (dialed, accepted) {
            (Link::Raw(dialed), Link::Raw(accepted)) => Ok((dialed.io, accepted.io)),
            _ => panic!("the memory transport is raw"),
        }
    })
    .await
}

/// Over the streams of a muxer; `None` is the muxer itself.
async fn over_streams(calls: &[Call], decorator: Option<Arc<dyn Decorator>>) -> Vec<String> {
    let near = decorator.map_or(yamux(), |decorator| decorator.muxer("yamux", yamux()).unwrap());
    let (near, far) = muxed(&*near, &*yamux());
    trace(calls, async || {
        let mut opened = near.open().await.map_err(|e| e.to_string())?;
        // A muxer may tell of a stream with its first byte; this one is the first of its course.
        drop(opened.write_all(&[7]).await);
        drop(opened.flush().await);
        let accepted = timeout(Duration::from_secs(5), far.accept()).await;
        let accepted = accepted.map_err(|e| e.to_string())?.unwrap();
        Ok((Box::new(opened) as BoxIo, Box::new(accepted) as BoxIo))
    })
    .await
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_seed_repeats_itself(seed in 0..1_000u64, calls in proptest::collection::vec(call(), 1..60)) {
        let links = || paused(over_links(&calls, Some(all_faults(seed))));
        prop_assert_eq!(links(), links());
        let streams = || paused(over_streams(&calls, Some(all_faults(seed))));
        prop_assert_eq!(streams(), streams());
    }

    #[test]
    fn without_percentages_nothing_changes(
        seed in 0..1_000u64,
        calls in proptest::collection::vec(call(), 1..60),
    ) {
        let identity = || Some(chaos(&format!("seed = {seed}")));
        prop_assert_eq!(paused(over_links(&calls, identity())), paused(over_links(&calls, None)));
        prop_assert_eq!(paused(over_streams(&calls, identity())), paused(over_streams(&calls, None)));
    }
}

/// Of fifty seeds, hardly two do the same to the same calls.
#[test]
fn seeds_differ() {
    let calls: Vec<_> =
        (0..6).flat_map(|at| [Call::Connect, Call::Write(at, 2_500), Call::PeerReads(at, 2_500)]).collect();
    let traces: std::collections::BTreeSet<_> =
        (0..50).map(|seed| paused(over_links(&calls, Some(all_faults(seed))))).collect();
    assert!(traces.len() >= 49, "{} traces of 50 seeds", traces.len());
}
