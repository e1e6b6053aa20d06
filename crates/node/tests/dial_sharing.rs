//! However callers come and go: one dial to a peer at a time, and nothing left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use proptest::prelude::*;
use skep::{
    DialOptions,
    api::{Code, PeerId},
    transport_memory::MemoryHub,
};
use std::{collections::HashMap, time::Duration};
use support::sim::{Route, Sim, listener, on, public};
use tokio::task::JoinHandle;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody dials one of the peers, at one of its addresses or at all, for so long at most.
    Dial { peer: usize, one: bool, patience: u64 },
    /// One of them stops waiting.
    Go(usize),
    /// So many milliseconds pass.
    Time(u64),
    /// Whoever has a connection closes it.
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3_usize, any::<bool>(), 1..2000_u64)
            .prop_map(|(peer, one, patience)| Step::Dial { peer, one, patience }),
        3 => (0..40_usize).prop_map(Step::Go),
        4 => (0..400_u64).prop_map(Step::Time),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn callers_come_and_go(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(story(steps))?;
    }
}

async fn story(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let sim = Sim::new(&hub);
    let node = on(&sim).build().unwrap();
    // The first peer answers at its second address, the second refuses, the third swallows everything.
    let peers = [peer.peer_id(), PeerId::random(), PeerId::random()];
    let addrs: Vec<_> = (0..6).map(public).collect();
    sim.route(&addrs[1], Route::Leads(at, Duration::from_millis(120)));
    sim.route(&addrs[2], Route::Refuses(Duration::from_millis(60)));
    sim.route(&addrs[3], Route::Refuses(Duration::from_millis(90)));
    let mut callers: Vec<JoinHandle<Result<u64, &'static str>>> = Vec::new();
    for step in steps {
        match step {
            Step::Dial { peer, one, patience } => {
                let known = &addrs[2 * peer..2 * peer + 2];
                let given = if one { &known[1..] } else { known };
                let options = DialOptions::default()
                    .addresses(given.iter().cloned())
                    .timeout(Duration::from_millis(patience))
                    .ignore_backoff();
                let (node, peer) = (node.clone(), peers[peer]);
                callers.push(tokio::spawn(async move {
                    let dialed = node.dial_peer_with(peer, options).await;
                    dialed.map(|dialed| dialed.connection.id()).map_err(|error| error.code())
                }));
            }
            Step::Go(which) if !callers.is_empty() => callers.swap_remove(which % callers.len()).abort(),
            Step::Time(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Close => drop(node.close_peer(&peers[0], Code::NONE).await),
            Step::Go(_) => {}
        }
        tokio::task::yield_now().await;
        prop_assert!(node.connections().len() <= 1);
        prop_assert!(node.dial_state().in_flight <= 3);
    }
    let mut seen = HashMap::new();
    for caller in callers {
        let outcome = caller.await.unwrap();
        *seen.entry(outcome.map(|_| ())).or_insert(0) += 1;
    }
    let outcomes = [Ok(()), Err("refused"), Err("deadline")];
    prop_assert!(seen.keys().all(|outcome| outcomes.contains(outcome)), "{:?}", seen);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (counts, state, metrics) = (sim.counts(), node.dial_state(), node.metrics());
    prop_assert_eq!(counts.peak_to_one, usize::from(!counts.by_addr.is_empty()), "two dials to one address");
    prop_assert_eq!((counts.open, state.in_flight, state.outstanding, state.queued), (0, 0, 0, 0));
    prop_assert_eq!(metrics.permits, metrics.connections);
    Ok(())
}
