use super::*;
use skep_api::{Code, gate::Nobody, security::Role};
use std::time::Duration;
use tokio::time::advance;

fn config(table: &str) -> Config {
    toml::from_str(table).unwrap()
}

fn gate(table: &str) -> RateLimit {
    RateLimit::new(&config(table), None).unwrap()
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn ask(gate: &RateLimit, point: &Checkpoint<'_>) -> Result<(), Denial> {
    match gate.check(point, &GateCx::new(&Nobody)) {
        Verdict::Allow => Ok(()),
        Verdict::Deny(denial) => Err(denial),
    }
}

fn link(gate: &RateLimit, remote: &str) -> Result<(), Denial> {
    ask(gate, &Checkpoint::Link { local: &addr("/ip4/127.0.0.1/tcp/1"), remote: &addr(remote) })
}

fn dial(gate: &RateLimit, to: &str) -> Result<(), Denial> {
    ask(gate, &Checkpoint::AddrDial { peer: None, addr: &addr(to) })
}

fn stream(gate: &RateLimit, peer: &PeerId, protocol: &str) -> Result<(), Denial> {
    ask(gate, &Checkpoint::Stream { peer, remote: &addr("/ip4/192.0.2.1/tcp/1"), protocol })
}

/// How often in a row something passes.
fn passes(mut check: impl FnMut() -> Result<(), Denial>) -> usize {
    (0..1_000).take_while(|_| check().is_ok()).count()
}

#[tokio::test(start_paused = true)]
async fn a_host_has_a_burst_and_then_a_pace() {
    let gate = gate("inbound_per_host = 5\ninbound_burst = 3");
    let from = "/ip4/192.0.2.7/tcp/1";
    assert_eq!(passes(|| link(&gate, from)), 3);
    let denial = link(&gate, "/ip6/::ffff:192.0.2.7/udp/9/quic-v1").unwrap_err();
    assert_eq!(
        denial.to_string(),
        "inbound connections of 192.0.2.7: 3 of 3 in use (`gate.rate_limit.inbound_per_host`); \
         again in 200 ms (rule: inbound_per_host = 5)"
    );
    assert_eq!((denial.code, denial.key()), (Code::RATE_LIMITED, "inbound_per_host"));
    let rate = denial.rate.unwrap();
    assert_eq!((rate.consumed_points, rate.remaining_points), (3, 0));
    advance(rate.retry_after).await;
    assert_eq!(passes(|| link(&gate, from)), 1, "after the time it said, and no sooner");
    assert_eq!(passes(|| link(&gate, "/ip4/192.0.2.8/tcp/1")), 3);

    assert_eq!(passes(|| link(&gate, "/ip6/2001:db8:0:1::1/tcp/1")), 3);
    let denial = link(&gate, "/ip6/2001:db8:0:2::1/tcp/1").unwrap_err();
    assert_eq!(denial.rate.unwrap().scope, "inbound connections of 2001:db8::/56");
}

#[tokio::test(start_paused = true)]
async fn all_hosts_together_have_a_pace_that_no_host_uses_up() {
    let gate = gate("inbound_burst = 2\ninbound_total = 10\ninbound_total_burst = 5");
    assert_eq!(passes(|| link(&gate, "/ip4/192.0.2.1/tcp/1")), 2);
    for _ in 0..100 {
        link(&gate, "/ip4/192.0.2.1/tcp/1").unwrap_err();
    }
    assert_eq!(passes(|| link(&gate, "/ip4/192.0.2.2/tcp/1")), 2);
    assert_eq!(passes(|| link(&gate, "/memory/1")), 1, "what is of no host counts among all");
    let denial = link(&gate, "/ip4/192.0.2.3/tcp/1").unwrap_err();
    assert_eq!(
        (denial.key(), denial.rate.as_ref().unwrap().scope.as_str()),
        ("inbound_total", "inbound connections")
    );
}

#[tokio::test(start_paused = true)]
async fn streams_are_paced_for_each_peer_and_protocol() {
    let gate = gate(
        "streams_per_peer = 10\nstreams_burst = 4\n\
         [protocols]\n\"/slow/1\" = { streams = 1, burst = 1 }\n\"/free/1\" = { streams = 0, burst = 1 }",
    );
    let (peer, other) = (PeerId::random(), PeerId::random());
    assert_eq!(passes(|| stream(&gate, &peer, "/a/1")), 4);
    assert_eq!(passes(|| stream(&gate, &peer, "/b/1")), 4);
    assert_eq!(passes(|| stream(&gate, &other, "/a/1")), 4);
    assert_eq!(passes(|| stream(&gate, &peer, "/slow/1")), 1);
    assert_eq!(passes(|| stream(&gate, &peer, "/free/1")), 1_000);
    let said = |protocol| stream(&gate, &peer, protocol).unwrap_err().to_string();
    assert_eq!(
        said("/a/1"),
        format!(
            "streams of /a/1 by {peer}: 4 of 4 in use (`gate.rate_limit.streams_per_peer`); again in 100 ms \
             (rule: streams_per_peer = 10)"
        )
    );
    assert_eq!(
        said("/slow/1"),
        format!(
            "streams of /slow/1 by {peer}: 1 of 1 in use (`gate.rate_limit.protocols.\"/slow/1\".streams`); \
             again in 1000 ms (rule: protocols = /slow/1: 1)"
        )
    );
    assert_eq!(stream(&gate, &peer, "/slow/1").unwrap_err().key(), "protocols");
    advance(Duration::from_millis(100)).await;
    assert_eq!(passes(|| stream(&gate, &peer, "/a/1")), 1);
}

#[tokio::test(start_paused = true)]
async fn dials_are_paced_in_total_and_for_each_host() {
    let gate = gate("dials = 1\ndials_burst = 5\ndials_per_host = 1\ndials_per_host_burst = 2");
    assert_eq!(passes(|| dial(&gate, "/ip4/192.0.2.1/tcp/1")), 2);
    let denial = dial(&gate, "/ip4/192.0.2.1/udp/1/quic-v1").unwrap_err();
    assert_eq!(
        (denial.key(), denial.rate.as_ref().unwrap().scope.as_str()),
        ("dials_per_host", "dials of 192.0.2.1")
    );
    assert_eq!(passes(|| dial(&gate, "/ip4/192.0.2.2/tcp/1")), 2);
    assert_eq!(passes(|| dial(&gate, "/memory/1")), 1);
    assert_eq!(dial(&gate, "/ip4/192.0.2.3/tcp/1").unwrap_err().key(), "dials");
    assert_eq!(passes(|| link(&gate, "/ip4/192.0.2.1/tcp/1")), 16, "what comes in is counted apart");
}

#[tokio::test(start_paused = true)]
async fn exempt_networks_are_not_paced() {
    let limits = "inbound_burst = 1\ninbound_total = 1\ninbound_total_burst = 2\ndials = 1\ndials_burst = 1\n\
                  streams_per_peer = 1\nstreams_burst = 1";
    let peer = PeerId::random();
    for (exempt, free, paced) in [
        ("", "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"),
        ("\nexempt = [\"10.0.0.0/8\"]", "/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"),
    ] {
        let gate = gate(&format!("{limits}{exempt}"));
        let open =
            |at: &str| ask(&gate, &Checkpoint::Stream { peer: &peer, remote: &addr(at), protocol: "/a" });
        assert_eq!((passes(|| link(&gate, free)), passes(|| link(&gate, paced))), (1_000, 1));
        assert_eq!((passes(|| dial(&gate, free)), passes(|| dial(&gate, paced))), (1_000, 1));
        assert_eq!((passes(|| open(free)), passes(|| open(paced))), (1_000, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_begins_takes_points() {
    let gate = gate("inbound_burst = 1\nstreams_per_peer = 1\nstreams_burst = 1\ndials = 1\ndials_burst = 1");
    let (peer, remote) = (&PeerId::random(), &addr("/ip4/192.0.2.1/tcp/1"));
    for role in [Role::Dialer, Role::Listener] {
        for point in [
            Checkpoint::PeerDial { peer },
            Checkpoint::Peer { role, peer, remote },
            Checkpoint::Ready { role, peer, remote },
            Checkpoint::Again { role, peer, remote },
        ] {
            assert_eq!(passes(|| ask(&gate, &point)), 1_000, "{point:?}");
        }
    }
    let at = "/ip4/192.0.2.1/tcp/1";
    assert_eq!(
        (passes(|| link(&gate, at)), passes(|| dial(&gate, at)), passes(|| stream(&gate, peer, "/a"))),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_no_amnesty() {
    let table = "inbound_burst = 2\nstreams_per_peer = 1\nstreams_burst = 2\ndials = 1\ndials_burst = 2\n\
                 protocols = { \"/a\" = { streams = 1, burst = 1 } }";
    let before = gate(table);
    let (peer, at) = (PeerId::random(), "/ip4/192.0.2.1/tcp/1");
    let all = |gate: &RateLimit| {
        let streams = |protocol| passes(|| stream(gate, &peer, protocol));
        [passes(|| link(gate, at)), passes(|| dial(gate, at)), streams("/b"), streams("/a")]
    };
    assert_eq!(all(&before), [2, 2, 2, 1]);
    let same = RateLimit::new(&config(table), Some(&before)).unwrap();
    assert_eq!(all(&same), [0, 0, 0, 0]);
    let mut changed = config(table);
    (changed.inbound_burst, changed.peers, changed.exempt) = (3, 1, Vec::new());
    let changed = RateLimit::new(&changed, Some(&before)).unwrap();
    assert_eq!(all(&changed), [3, 0, 0, 0], "another burst is another bucket");
    let without = RateLimit::new(&Config { dials: 0, ..config(table) }, Some(&same)).unwrap();
    assert_eq!(all(&without), [0, 1_000, 0, 0]);
    let again = RateLimit::new(&config(table), Some(&without)).unwrap();
    assert_eq!(all(&again), [0, 2, 0, 0]);
    // What the one takes, the other has not: a reload that fails goes back to the gate before.
    advance(Duration::from_secs(1)).await;
    assert_eq!((all(&same), all(&before)), ([2, 1, 1, 1], [0, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn hosts_and_peers_are_remembered_up_to_a_number() {
    let gate = gate(
        "hosts = 10\npeers = 5\nstreams_per_peer = 1\ndials_per_host = 1\ndials = 1\ninbound_total = 9\n\
                     protocols = { \"/a\" = { streams = 1, burst = 1 } }",
    );
    for n in 0..=255 {
        link(&gate, &format!("/ip4/192.0.2.{n}/tcp/1")).ok();
        dial(&gate, &format!("/ip4/192.0.2.{n}/tcp/1")).ok();
        stream(&gate, &PeerId::random(), "/a").unwrap();
        stream(&gate, &PeerId::random(), &format!("/{n}")).unwrap();
    }
    assert_eq!((gate.inbound_per_host.len(), gate.dials_per_host.len()), (10, 10));
    assert_eq!((gate.streams_per_peer.len(), gate.protocols["/a"].len()), (5, 5));
    assert_eq!((gate.inbound_total.len(), gate.dials.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_goes_round_many_hosts_gains_one_connection_a_turn() {
    let gate = gate("hosts = 4\ninbound_burst = 16");
    let turn =
        || -> usize { (0..5).map(|n| passes(|| link(&gate, &format!("/ip4/192.0.2.{n}/tcp/1")))).sum() };
    assert_eq!((turn(), turn(), turn()), (4 * 16 + 1, 5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_build_takes_over_from_the_running_gate_of_its_kind() {
    use skep_api::{ConfigSection, Layer, plugin::layer};
    let section = ConfigSection::empty("gate.rate_limit");
    let build = |before| {
        let cx = skep_testkit::cx::build_cx().replacing(before);
        (PLUGIN.build)(&section, &cx).unwrap()
    };
    let passed = |gate: &Arc<dyn Gate>| {
        let (local, remote) = (&addr("/ip4/127.0.0.1/tcp/1"), &addr("/ip4/192.0.2.1/tcp/1"));
        let point = Checkpoint::Link { local, remote };
        (0..100).take_while(|_| gate.check(&point, &GateCx::new(&Nobody)) == Verdict::Allow).count()
    };
    let before = build(None);
    assert_eq!(passed(&before), 16);
    assert_eq!(passed(&build(layer::Gate::any(&before))), 0);
    assert_eq!(passed(&build(Some(Arc::new("something else")))), 16);
}
