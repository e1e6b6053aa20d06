//! Whatever peers do: no peer loses its last connection to the monitor, and its work is bounded.

use super::*;
use proptest::prelude::*;
use skep_api::{Code, selector::ConnectionView};
use skep_testkit::node::{Outcome, Streams};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Event {
    Connect(u64),
    Lose(u64),
    Streams(u64, Streams),
    Newest(u64, Streams),
    Reach(u64, Reach),
    Use(u64, usize),
    Fail(u64),
    Wait(u64),
}

fn any_event() -> impl Strategy<Value = Event> {
    let peers = || 1u64..5;
    let streams = || {
        prop_oneof![
            (0u64..400).prop_map(|ms| Streams::Echo(Duration::from_millis(ms))),
            Just(Streams::Silent),
            Just(Streams::Refused),
            Just(Streams::Never),
            Just(Streams::Breaks),
            Just(Streams::Resets(Code::NONE)),
        ]
    };
    let reach = prop_oneof![
        3 => Just(Reach::UP),
        1 => (0u64..20).prop_map(|s| Reach::After(Duration::from_secs(s))),
        1 => Just(Reach::REFUSES),
        1 => Just(Reach::Never),
        1 => Just(Reach::NotTried("denied")),
    ];
    prop_oneof![
        2 => peers().prop_map(Event::Connect),
        1 => peers().prop_map(Event::Lose),
        3 => (peers(), streams()).prop_map(|(peer, streams)| Event::Streams(peer, streams)),
        3 => (peers(), streams()).prop_map(|(peer, streams)| Event::Newest(peer, streams)),
        2 => (peers(), reach).prop_map(|(peer, reach)| Event::Reach(peer, reach)),
        2 => (peers(), 0usize..2).prop_map(|(peer, busy)| Event::Use(peer, busy)),
        1 => peers().prop_map(Event::Fail),
        8 => (1u64..60).prop_map(Event::Wait),
    ]
}

/// The peers that have a connection, and how many closes there were.
type Before = (BTreeMap<PeerId, usize>, usize);

fn before(node: &FakeNode) -> Before {
    let mut peers = BTreeMap::new();
    for view in node.connections() {
        *peers.entry(view.peer).or_default() += 1;
    }
    (peers, node.closes().len())
}

/// Nobody but the monitor has done anything since `before`.
fn check(bench: &Bench, before: &Before) {
    let node = &bench.node;
    for peer in before.0.keys() {
        assert!(connected(node, peer), "the monitor has closed the last connection");
    }
    for closed in node.closes().iter().skip(before.1) {
        assert_eq!(closed.code, Code::SUPPLANTED);
    }
    let (now, dials) = (node.now(), node.dials());
    assert!(dials.iter().filter(|dial| now - dial.at < Duration::from_secs(10)).count() <= 2);
    for number in 1..5 {
        let open = node.dials_of(&peer(number)).iter().filter(|d| d.outcome == Outcome::Pending).count();
        assert!(open <= 1, "two replacements of one peer");
    }
    assert!(node.open_streams() <= 2 + 2, "more than pings and the pings of replacements");
    assert!(node.live_tasks() == 0);
}

/// What is watched is what is there, as of the last look.
fn check_watched(bench: &Bench) {
    let node = &bench.node;
    let recent = |at: Duration| node.now() - at < Duration::from_millis(400);
    if node.closes().iter().any(|closed| recent(closed.at))
        || node.dials().iter().any(|dial| dial.ended.is_some_and(recent))
    {
        return;
    }
    let watched = bench.monitor.summary();
    assert!(!bench.task.is_finished(), "the monitor has ended");
    assert_eq!((watched.connections, watched.peers), (node.connections().len(), node.connected_peers()));
}

async fn play(events: Vec<Event>) {
    let bench = Bench::new(Config { parallel: 2, max_replacements: 2, min_health: 0.65, ..config() });
    let node = &bench.node;
    let newest = |number| node.ids(&peer(number)).last().copied();
    let change = |number, change: fn(&mut ConnectionView)| {
        node.ids(&peer(number)).into_iter().for_each(|id| node.change(id, change));
    };
    for event in events {
        match event {
            Event::Connect(number) if node.ids(&peer(number)).len() < 3 => drop(bench.connect(number)),
            Event::Connect(_) => {}
            Event::Lose(number) => node.lose(&peer(number)),
            Event::Streams(number, streams) => node.set_streams(&peer(number), streams),
            Event::Newest(number, streams) => {
                newest(number).into_iter().for_each(|id| node.set_streams_on(id, streams));
            }
            Event::Reach(number, reach) => node.set_reach(&peer(number), reach),
            Event::Use(number, busy) => {
                newest(number).into_iter().for_each(|id| node.change(id, |view| view.busy = busy));
            }
            Event::Fail(number) => change(number, |view| {
                (view.opened, view.failed) = (view.opened + 10, view.failed + 10);
            }),
            Event::Wait(seconds) => {
                for _ in 0..seconds * 2 {
                    let before = before(node);
                    sleep(Duration::from_millis(500)).await;
                    check(&bench, &before);
                }
                check_watched(&bench);
            }
        }
    }
    bench.task.abort();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_peer_loses_its_last_connection(events in proptest::collection::vec(any_event(), 1..60)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(play(events));
    }
}
