use super::*;
use proptest::prelude::*;
use skep_api::address::Carrier;

const RELAY: &str = "p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X/p2p-circuit";

fn smart() -> Smart {
    Smart::new(&Config::default())
}

/// Candidates from texts; one that begins with `*` has worked.
fn candidates(texts: &[&str]) -> Vec<DialCandidate> {
    let candidate = |text: &&str| match text.strip_prefix('*') {
        Some(text) => DialCandidate::new(text.parse().unwrap()).worked(),
        None => DialCandidate::new(text.parse().unwrap()),
    };
    texts.iter().map(candidate).collect()
}

/// The start times of what a ranker gives, in milliseconds.
fn starts(ranked: &[RankedAddr]) -> Vec<u128> {
    let time = |at: &mut u128, ranked: &RankedAddr| {
        *at += ranked.gap.as_millis();
        Some(*at)
    };
    ranked.iter().scan(0, time).collect()
}

/// Ranks the addresses given in the order in which they should start, from the last to the first, and compares
/// order and times.
#[track_caller]
fn check(expected: &[(u128, &str)]) {
    let mut texts: Vec<_> = expected.iter().map(|(_, text)| *text).collect();
    texts.reverse();
    let ranked = smart().rank(candidates(&texts));
    let found: Vec<_> = starts(&ranked).into_iter().zip(ranked.iter().map(|r| r.addr.to_string())).collect();
    let expected: Vec<_> =
        expected.iter().map(|(at, text)| (*at, text.trim_start_matches('*').to_string())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_public_node_with_both_families_and_both_carriers() {
    check(&[
        (0, "/ip6/2001:db8::1/udp/4001/quic-v1"),
        (250, "/ip4/203.0.113.1/udp/4001/quic-v1"),
        (500, "/ip6/2001:db8::1/tcp/4001"),
        (750, "/ip4/203.0.113.1/tcp/4001"),
    ]);
}

#[test]
fn many_quic_addresses_hold_tcp_back_for_no_more_than_two_delays() {
    check(&[
        (0, "/ip6/2001:db8::1/udp/4001/quic-v1"),
        (250, "/ip4/203.0.113.1/udp/4001/quic-v1"),
        (500, "/ip6/2001:db8::2/udp/4001/quic-v1"),
        (500, "/ip4/203.0.113.2/udp/4001/quic-v1"),
        (500, "/ip4/203.0.113.3/udp/4001/quic-v1"),
        (500, "/ip4/203.0.113.1/udp/4001/quic"),
        (500, "/ip4/203.0.113.1/udp/4001/quic-v1/webtransport"),
        (500, "/ip4/203.0.113.1/tcp/4001"),
        (750, "/ip4/203.0.113.2/tcp/4001"),
        (1_000, "/ip4/203.0.113.1/tcp/443/tls/ws"),
    ]);
}

#[test]
fn one_quic_address_holds_tcp_back_for_one_delay() {
    check(&[(0, "/ip4/203.0.113.1/udp/4001/quic-v1"), (250, "/ip4/203.0.113.1/tcp/4001")]);
}

#[test]
fn tcp_alone_starts_at_once() {
    check(&[
        (0, "/ip6/2001:db8::1/tcp/4001"),
        (250, "/ip4/203.0.113.1/tcp/4001"),
        (500, "/ip6/2001:db8::1/tcp/4002"),
    ]);
}

#[test]
fn a_family_that_only_a_later_carrier_has_comes_second() {
    check(&[
        (0, "/ip6/2001:db8::1/tcp/4001"),
        (250, "/ip4/203.0.113.1/tcp/443/tls/ws"),
        (500, "/ip6/2001:db8::2/tcp/4001"),
        (500, "/ip6/2001:db8::3/tcp/4001"),
    ]);
}

#[test]
fn lower_ports_and_then_lower_texts_go_first() {
    check(&[
        (0, "/ip4/203.0.113.9/tcp/443"),
        (250, "/ip4/203.0.113.1/tcp/4001"),
        (500, "/ip4/203.0.113.2/tcp/4001"),
    ]);
}

#[test]
fn private_and_public_addresses_run_side_by_side() {
    check(&[
        (0, "/ip4/192.168.1.2/udp/4001/quic-v1"),
        (0, "/ip4/203.0.113.1/udp/4001/quic-v1"),
        (30, "/ip4/192.168.1.2/tcp/4001"),
        (60, "/ip4/127.0.0.1/tcp/4002"),
        (250, "/ip4/203.0.113.1/tcp/4001"),
    ]);
}

#[test]
fn every_scope_but_the_public_one_has_the_short_delay() {
    for near in ["/ip4/127.0.0.1", "/ip4/10.0.0.1", "/ip4/169.254.0.1", "/ip4/100.64.0.1", "/ip6/fd00::1"] {
        check(&[(0, &format!("{near}/tcp/1")), (30, &format!("{near}/tcp/2"))]);
    }
    check(&[(0, "/ip6zone/eth0/ip6/fe80::1/tcp/1"), (30, "/ip6zone/eth0/ip6/fe80::1/tcp/2")]);
    check(&[(0, "/memory/1"), (30, "/memory/2"), (60, "/memory/3")]);
    check(&[(0, "/dns4/node.test/tcp/1"), (250, "/dns4/node.test/tcp/2")]);
}

#[test]
fn relayed_addresses_wait_for_direct_public_ones_only() {
    let relay = |ip: &str| format!("/ip4/{ip}/tcp/4001/{RELAY}");
    let (first, second) = (relay("198.51.100.1"), relay("198.51.100.2"));
    check(&[
        (0, "/ip4/203.0.113.1/tcp/4001"),
        (250, "/ip4/203.0.113.1/tcp/4002"),
        (500, "/ip4/203.0.113.1/tcp/4003"),
        (500, &first),
        (750, &second),
    ]);
    check(&[(0, "/ip4/10.0.0.1/tcp/4001"), (0, &first), (250, &second)]);
    check(&[(0, &first), (250, &second)]);
}

#[test]
fn other_transports_wait_for_quic_and_tcp() {
    let webrtc = "/ip4/203.0.113.1/udp/4001/webrtc-direct";
    check(&[
        (0, "/ip4/203.0.113.1/udp/4001/quic-v1"),
        (250, "/ip4/203.0.113.1/tcp/4001"),
        (1_250, webrtc),
        (1_500, "/ip4/203.0.113.2/udp/4001/webrtc-direct"),
    ]);
    check(&[(0, webrtc)]);
    check(&[(0, "/ip4/10.0.0.1/tcp/4001"), (100, "/ip4/10.0.0.1/udp/4001/webrtc-direct")]);
}

#[test]
fn what_worked_leads_whatever_it_goes_over() {
    check(&[
        (0, "*/ip4/203.0.113.1/tcp/4001"),
        (250, "/ip6/2001:db8::1/udp/4001/quic-v1"),
        (500, "/ip4/203.0.113.1/udp/4001/quic-v1"),
        (500, "/ip6/2001:db8::1/tcp/4001"),
    ]);
    check(&[
        (0, "*/ip4/203.0.113.1/tcp/4001"),
        (0, "/ip4/10.0.0.1/udp/4001/quic-v1"),
        (250, "/ip4/203.0.113.1/tcp/4000"),
    ]);
    check(&[
        (0, "*/ip4/203.0.113.1/udp/4001/quic-v1"),
        (250, "*/ip4/203.0.113.1/tcp/4001"),
        (500, "/ip6/2001:db8::1/tcp/4001"),
    ]);
    check(&[(0, "*/ip4/203.0.113.1/udp/9/webrtc-direct"), (1_000, "/ip4/203.0.113.1/udp/8/webrtc-direct")]);
}

#[test]
fn a_relay_that_worked_does_not_overtake_direct_addresses() {
    let worked = format!("*/ip4/198.51.100.2/tcp/4001/{RELAY}");
    let other = format!("/ip4/198.51.100.1/tcp/4001/{RELAY}");
    check(&[(0, "/ip4/10.0.0.1/tcp/4001"), (0, &worked), (250, &other)]);
    check(&[(0, "/ip4/203.0.113.1/tcp/4001"), (500, &worked), (750, &other)]);
}

#[test]
fn a_direct_tcp_handshake_holds_the_next_back_by_the_delay_of_its_scope() {
    for (addr, millis) in [
        ("/ip4/203.0.113.1/tcp/1", 250),
        ("/ip4/203.0.113.1/tcp/1/ws", 250),
        ("/ip4/10.0.0.1/tcp/1", 30),
        ("/ip4/203.0.113.1/udp/1/quic-v1", 0),
        ("/ip4/203.0.113.1/udp/1/webrtc-direct", 0),
        (&format!("/ip4/203.0.113.1/tcp/1/{RELAY}"), 0),
    ] {
        let ranked = smart().rank(candidates(&[addr]));
        assert_eq!(ranked[0].head_start, Duration::from_millis(millis), "{addr}");
    }
}

#[test]
fn the_delays_are_those_of_the_table() {
    let config = Config {
        public_delay: DurationText::secs(1),
        private_delay: DurationText::secs(2),
        relay_delay: DurationText::secs(3),
        public_other_delay: DurationText::secs(4),
        private_other_delay: DurationText::secs(5),
    };
    let relayed = format!("/ip4/198.51.100.2/tcp/4001/{RELAY}");
    let texts = [
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/203.0.113.1/tcp/1",
        "/ip4/203.0.113.1/tcp/2",
        "/ip4/10.0.0.1/tcp/2",
        &relayed,
        "/ip4/203.0.113.1/udp/1/webrtc-direct",
        "/ip4/10.0.0.1/udp/1/webrtc-direct",
    ];
    let ranked = Smart::new(&config).rank(candidates(&texts));
    assert_eq!(starts(&ranked), [0, 0, 1_000, 2_000, 3_000, 5_000, 7_000]);
    assert_eq!(ranked.iter().map(|r| r.addr.to_string()).collect::<Vec<_>>(), texts);
}

/// An address of few enough kinds that any two meet often.
fn any_candidate() -> impl Strategy<Value = DialCandidate> {
    let head = prop::sample::select(vec![
        "ip4/203.0.113.1",
        "ip4/198.51.100.7",
        "ip6/2001:db8::1",
        "ip6/2001:db8::2",
        "ip6/::ffff:203.0.113.3",
        "ip4/10.0.0.1",
        "ip4/127.0.0.1",
        "ip6/fd00::1",
        "dns4/node.test",
    ]);
    let carrier = prop::sample::select(vec![
        "udp/{}/quic-v1",
        "udp/{}/quic",
        "udp/{}/quic-v1/webtransport",
        "tcp/{}",
        "tcp/{}/tls/ws",
        "udp/{}/webrtc-direct",
    ]);
    let relayed = prop::bool::weighted(0.2);
    (head, carrier, 1..6u16, relayed, prop::bool::weighted(0.2)).prop_map(
        |(head, carrier, port, relayed, worked)| {
            let relay = if relayed { format!("/{RELAY}") } else { String::new() };
            let text = format!("/{head}/{}{relay}", carrier.replace("{}", &port.to_string()));
            let candidate = DialCandidate::new(text.parse().unwrap());
            if worked { candidate.worked() } else { candidate }
        },
    )
}

fn any_candidates() -> impl Strategy<Value = Vec<DialCandidate>> {
    prop::collection::vec(any_candidate(), 0..60)
}

fn texts<'a>(addrs: impl Iterator<Item = &'a Multiaddr>) -> Vec<String> {
    let mut texts: Vec<_> = addrs.map(Multiaddr::to_string).collect();
    texts.sort();
    texts
}

proptest! {
    #[test]
    fn every_address_comes_back_once_and_the_first_at_zero(given in any_candidates()) {
        let ranked = smart().rank(given.clone());
        prop_assert_eq!(texts(ranked.iter().map(|r| &r.addr)), texts(given.iter().map(|c| &c.addr)));
        prop_assert!(ranked.first().is_none_or(|first| first.gap.is_zero()));
        prop_assert!(ranked.iter().all(|r| r.gap < RankedAddr::AFTER_FAILURE));
    }

    #[test]
    fn the_order_given_does_not_matter(given in any_candidates(), turns in 0..60usize) {
        let ranked = smart().rank(given.clone());
        let mut turned = given.clone();
        turned.rotate_left(turns.min(given.len()));
        prop_assert_eq!(&smart().rank(turned.clone()), &ranked);
        turned.reverse();
        prop_assert_eq!(&smart().rank(turned), &ranked);
    }

    #[test]
    fn the_last_direct_address_starts_in_bounded_time(given in any_candidates()) {
        let ranked = smart().rank(given);
        for (at, ranked) in starts(&ranked).into_iter().zip(&ranked) {
            let (delay, other) = if is_public(&ranked.addr) { (250, 1_000) } else { (30, 100) };
            // Two groups of two delays each; what is neither QUIC nor TCP has its own wait and its own two.
            let bound = match address::carrier(&ranked.addr) {
                _ if address::is_relayed(&ranked.addr) => 500 + 6 * 250 + 1_000,
                Carrier::Other => 6 * delay + other,
                _ => 4 * delay,
            };
            prop_assert!(at <= bound, "{} starts at {at} ms", ranked.addr);
        }
    }

    #[test]
    fn with_one_carrier_all_start_within_two_delays(ports in prop::collection::btree_set(1..500u16, 1..60)) {
        for tail in ["/tcp/{}", "/udp/{}/quic-v1", "/udp/{}/webrtc-direct"] {
            let addr = |port: &u16| format!("/ip4/203.0.113.1{}", tail.replace("{}", &port.to_string()));
            let given = ports.iter().map(|port| DialCandidate::new(addr(port).parse().unwrap())).collect();
            let starts = starts(&smart().rank(given));
            prop_assert!(starts.iter().enumerate().all(|(n, at)| *at == 250 * (n as u128).min(2)));
        }
    }

    #[test]
    fn of_equal_starts_the_direct_one_comes_first(given in any_candidates()) {
        let public = given.iter().any(|c| is_public(&c.addr) && !address::is_relayed(&c.addr));
        let ranked = smart().rank(given);
        let placed: Vec<_> = starts(&ranked).into_iter().zip(&ranked).collect();
        for pair in placed.windows(2) {
            let [(at, this), (then, next)] = pair else { unreachable!() };
            let overtakes = at == then && address::is_relayed(&this.addr) && !address::is_relayed(&next.addr);
            prop_assert!(!overtakes, "{} before {}", this.addr, next.addr);
        }
        let expected = if public { 500 } else { 0 };
        let first_relayed = placed.iter().find(|(_, r)| address::is_relayed(&r.addr)).map(|(at, _)| *at);
        prop_assert!(first_relayed.is_none_or(|at| at == expected));
    }

    #[test]
    fn a_direct_address_that_worked_leads(given in any_candidates()) {
        let worked: Vec<_> =
            given.iter().filter(|c| c.worked && !address::is_relayed(&c.addr)).cloned().collect();
        let ranked = smart().rank(given);
        if !worked.is_empty() {
            prop_assert!(worked.iter().any(|c| c.addr == ranked[0].addr));
        }
    }

    #[test]
    fn families_alternate_while_both_are_left(v6 in 0..20u16, v4 in 0..20u16) {
        let addr = |head: &str, n: u16| {
            DialCandidate::new(format!("/{head}/udp/{}/quic-v1", 1_000 + n).parse().unwrap())
        };
        let sixes = (0..v6).map(|n| addr("ip6/2001:db8::1", n));
        let fours = (0..v4).map(|n| addr("ip4/203.0.113.1", n));
        let ranked = smart().rank(fours.chain(sixes).collect());
        let is_v6 = |r: &RankedAddr| address::ip(&r.addr).is_some_and(|ip| ip.is_ipv6());
        let both = usize::from(v6.min(v4)) * 2;
        for (n, ranked) in ranked.iter().take(both).enumerate() {
            prop_assert_eq!(is_v6(ranked), n % 2 == 0);
        }
    }

    #[test]
    fn quic_before_tcp_before_the_rest(given in any_candidates()) {
        // In one lane and without history; among those that start together the carriers are in order.
        let given: Vec<_> = given
            .into_iter()
            .filter(|c| !c.worked && is_public(&c.addr) && !address::is_relayed(&c.addr))
            .collect();
        let group = |r: &RankedAddr| match address::carrier(&r.addr) {
            Carrier::QuicV1 | Carrier::QuicDraft | Carrier::WebTransport => 0,
            Carrier::Tcp | Carrier::WebSocket => 1,
            Carrier::Other => 2,
        };
        let ranked = smart().rank(given);
        prop_assert!(ranked.is_sorted_by_key(group));
    }
}
