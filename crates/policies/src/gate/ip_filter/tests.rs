use super::*;
use proptest::prelude::*;
use skep_api::{Code, Multiaddr, gate::Nobody, security::Role};

fn gate(allow: &[&str], deny: &[&str]) -> IpFilter {
    let strings = |texts: &[&str]| texts.iter().map(|t| (*t).to_string()).collect();
    IpFilter::new(&Config { allow: strings(allow), deny: strings(deny), ..Config::default() }).unwrap()
}

fn peers(allow: &[PeerId], deny: &[PeerId]) -> IpFilter {
    let strings = |peers: &[PeerId]| peers.iter().map(PeerId::to_string).collect();
    let config = Config { allow_peers: strings(allow), deny_peers: strings(deny), ..Config::default() };
    IpFilter::new(&config).unwrap()
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// The verdicts at all checkpoints with an address but that of streams; the peer is known at all but the link.
fn verdicts(gate: &IpFilter, peer: &PeerId, remote: &str) -> [Verdict; 5] {
    let (remote, local) = (addr(remote), addr("/ip4/127.0.0.1/tcp/1"));
    let (remote, local, role) = (&remote, &local, Role::Listener);
    [
        gate.check(&Checkpoint::AddrDial { peer: Some(peer), addr: remote }, &GateCx::new(&Nobody)),
        gate.check(&Checkpoint::Link { local, remote }, &GateCx::new(&Nobody)),
        gate.check(&Checkpoint::Peer { role, peer, remote }, &GateCx::new(&Nobody)),
        gate.check(&Checkpoint::Ready { role, peer, remote }, &GateCx::new(&Nobody)),
        gate.check(&Checkpoint::Again { role, peer, remote }, &GateCx::new(&Nobody)),
    ]
}

fn allowed(gate: &IpFilter, remote: &str) -> bool {
    let verdicts = verdicts(gate, &PeerId::random(), remote);
    let allowed = verdicts[0] == Verdict::Allow;
    assert!(verdicts.iter().all(|v| (*v == Verdict::Allow) == allowed), "{verdicts:?}");
    allowed
}

#[test]
fn without_rules_everything_passes() {
    let gate = gate(&[], &[]);
    assert!(allowed(&gate, "/ip4/192.0.2.1/tcp/1"));
    assert!(allowed(&gate, "/memory/1"));
}

#[test]
fn denied_networks_do_not_pass_and_the_rule_is_named() {
    let gate = gate(&[], &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
    assert!(allowed(&gate, "/ip4/11.0.0.1/tcp/1"));
    assert!(allowed(&gate, "/dns4/example.com/tcp/1"));
    assert!(!allowed(&gate, "/ip6/2001:db8::1/udp/1/quic-v1"));
    assert!(!allowed(&gate, "/ip6zone/eth0/ip6/2001:db8::1/tcp/1"));
    let [verdict, ..] = verdicts(&gate, &PeerId::random(), "/ip4/10.1.2.3/tcp/1");
    let Verdict::Deny(denial) = verdict else { panic!("allowed") };
    assert_eq!(denial.to_string(), "10.1.2.3 is in a denied network (rule: deny = 10.0.0.0/8)");
    assert_eq!(denial.code, Code::GATED);
    let [verdict, ..] = verdicts(&gate, &PeerId::random(), "/ip4/192.0.2.7/tcp/1");
    let Verdict::Deny(denial) = verdict else { panic!("allowed") };
    assert_eq!(denial.rule, "deny = 192.0.2.7");
}

#[test]
fn allowed_networks_are_exclusive_and_denying_wins() {
    let gate = gate(&["10.0.0.0/8"], &["10.1.0.0/16"]);
    assert!(allowed(&gate, "/ip4/10.0.0.1/tcp/1"));
    assert!(!allowed(&gate, "/ip4/10.1.0.1/tcp/1"));
    assert!(!allowed(&gate, "/ip4/11.0.0.1/tcp/1"));
    assert!(!allowed(&gate, "/memory/1"));
    assert!(!allowed(&gate, "/dns4/example.com/tcp/1"));
    assert!(!allowed(&gate, "/dns4/example.com/ip4/10.0.0.1/tcp/1"));
}

#[test]
fn mapped_addresses_are_judged_as_ipv4() {
    assert!(!allowed(&gate(&[], &["10.0.0.0/8"]), "/ip6/::ffff:10.0.0.1/tcp/1"));
    assert!(allowed(&gate(&["10.0.0.0/8"], &[]), "/ip6/::ffff:10.0.0.1/tcp/1"));
    assert!(!allowed(&gate(&[], &["::ffff:10.0.0.0/104"]), "/ip4/10.0.0.1/tcp/1"));
    assert!(allowed(&gate(&[], &["::/0"]), "/ip6/::ffff:10.0.0.1/tcp/1"));
}

#[test]
fn of_a_relayed_address_the_relay_is_judged() {
    let relay = PeerId::random();
    let relayed = format!("/ip4/10.0.0.1/tcp/1/p2p/{relay}/p2p-circuit");
    assert!(!allowed(&gate(&[], &["10.0.0.0/8"]), &relayed));
    let target = PeerId::random();
    let gate = peers(&[target], &[]);
    let through = addr(&format!("{relayed}/p2p/{target}"));
    assert_eq!(
        gate.check(&Checkpoint::AddrDial { peer: None, addr: &through }, &GateCx::new(&Nobody)),
        Verdict::Allow
    );
    // The relay at the end of an unfinished address is not the peer that is wanted.
    assert_eq!(
        gate.check(&Checkpoint::AddrDial { peer: None, addr: &addr(&relayed) }, &GateCx::new(&Nobody)),
        Verdict::Allow
    );
}

#[test]
fn peers_are_judged_wherever_they_are_known() {
    let (friend, foe) = (PeerId::random(), PeerId::random());
    let at = "/ip4/192.0.2.1/tcp/1";
    let deny = |v: &Verdict| matches!(v, Verdict::Deny(_));

    let only_friend = peers(&[friend], &[]);
    assert!(!verdicts(&only_friend, &friend, at).iter().any(deny));
    assert_eq!(verdicts(&only_friend, &foe, at).each_ref().map(deny), [true, false, true, true, true]);

    for (peer, denied) in [(&friend, false), (&foe, true)] {
        let point = Checkpoint::PeerDial { peer };
        assert_eq!(deny(&only_friend.check(&point, &GateCx::new(&Nobody))), denied);
        let (remote, protocol) = (&addr(at), "/x/1.0.0");
        let point = Checkpoint::Stream { peer, remote, protocol };
        assert!(!deny(&only_friend.check(&point, &GateCx::new(&Nobody))), "the connection has been judged");
    }

    let not_foe = peers(&[friend, foe], &[foe]);
    let found = verdicts(&not_foe, &foe, at);
    assert_eq!(found.each_ref().map(deny), [true, false, true, true, true]);
    let Verdict::Deny(denial) = &found[0] else { panic!("allowed") };
    assert_eq!(denial.rule, format!("deny_peers = {foe}"));

    let named = addr(&format!("{at}/p2p/{foe}"));
    assert!(deny(
        &only_friend.check(&Checkpoint::AddrDial { peer: None, addr: &named }, &GateCx::new(&Nobody))
    ));
    assert!(!deny(
        &only_friend.check(&Checkpoint::AddrDial { peer: None, addr: &addr(at) }, &GateCx::new(&Nobody))
    ));
    // What an inbound address claims about the peer is no proof.
    let local = addr(at);
    assert!(!deny(
        &only_friend.check(&Checkpoint::Link { local: &local, remote: &named }, &GateCx::new(&Nobody))
    ));
}

#[test]
fn private_and_own_addresses_can_be_shut_out_apart() {
    const PRIVATE: [&str; 9] = [
        "/ip4/10.1.2.3/tcp/1",
        "/ip4/172.31.0.1/tcp/1",
        "/ip4/192.168.1.1/tcp/1",
        "/ip4/100.64.0.1/tcp/1",
        "/ip4/169.254.0.9/tcp/1",
        "/ip6/fd00::1/tcp/1",
        "/ip6/fe80::1/tcp/1",
        "/ip6zone/eth0/ip6/fe80::1/tcp/1",
        "/ip6/::ffff:10.1.2.3/tcp/1",
    ];
    const OWN: [&str; 6] = [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/127.8.8.8/tcp/1",
        "/ip6/::1/tcp/1",
        "/ip4/0.0.0.0/tcp/1",
        "/ip6/::/tcp/1",
        "/ip6/::ffff:127.0.0.1/tcp/1",
    ];
    const OTHER: [&str; 4] =
        ["/ip4/172.32.0.1/tcp/1", "/ip6/2001:db8::1/tcp/1", "/memory/1", "/dns4/localhost/tcp/1"];
    let with = |private, loopback| {
        let config = Config {
            allow_private_addresses: private,
            allow_loopback_addresses: loopback,
            ..Config::default()
        };
        IpFilter::new(&config).unwrap()
    };
    for (private, loopback) in [(true, true), (true, false), (false, true), (false, false)] {
        let gate = with(private, loopback);
        PRIVATE.iter().for_each(|at| assert_eq!(allowed(&gate, at), private, "{at}"));
        OWN.iter().for_each(|at| assert_eq!(allowed(&gate, at), loopback, "{at}"));
        OTHER.iter().for_each(|at| assert!(allowed(&gate, at), "{at}"));
    }
    let said = |at: &str| {
        let [Verdict::Deny(denial), ..] = verdicts(&with(false, false), &PeerId::random(), at) else {
            panic!("allowed")
        };
        denial.to_string()
    };
    assert_eq!(said(PRIVATE[0]), "10.1.2.3 is a private address (rule: allow_private_addresses = false)");
    assert_eq!(said(PRIVATE[6]), "fe80::1 is a link-local address (rule: allow_private_addresses = false)");
    assert_eq!(
        said(OWN[3]),
        "0.0.0.0 is an address of this host itself (rule: allow_loopback_addresses = false)"
    );
}

#[test]
fn no_allowed_network_lets_a_private_address_through() {
    let config =
        Config { allow: vec!["10.0.0.0/8".into()], allow_private_addresses: false, ..Config::default() };
    assert!(!allowed(&IpFilter::new(&config).unwrap(), "/ip4/10.1.2.3/tcp/1"));
}

#[test]
fn rules_change_while_the_gate_is_asked() {
    let gate = gate(&[], &["10.0.0.0/8"]);
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let (inner, outer) = ("/ip4/10.1.2.3/tcp/1", "/ip4/10.2.2.3/tcp/1");
    assert!(gate.add_deny(net("10.1.2.3/16")), "bits beyond the prefix mean nothing");
    assert!(!gate.add_deny(net("10.1.0.0/16")));
    assert!(gate.remove_deny(net("::ffff:10.0.0.0/104")), "mapped networks are those of IPv4");
    assert!(!gate.remove_deny(net("10.0.0.0/8")));
    assert!(!allowed(&gate, inner) && allowed(&gate, outer));
    assert!(gate.remove_deny(net("10.1.0.0/16")) && allowed(&gate, inner));

    assert!(gate.add_allow(net("192.0.2.7/32")) && !allowed(&gate, inner));
    assert!(!gate.remove_allow(net("192.0.2.0/24")) && !allowed(&gate, inner));
    assert!(gate.remove_allow(net("192.0.2.7/32")) && allowed(&gate, inner));

    let (friend, foe) = (PeerId::random(), PeerId::random());
    assert!(gate.add_deny_peer(foe) && gate.add_allow_peer(friend) && !gate.add_allow_peer(friend));
    let rules = gate.rules();
    assert_eq!((rules.allow_peers.len(), rules.deny_peers.contains(&foe)), (1, true));
    let [dial, ..] = verdicts(&gate, &PeerId::random(), inner);
    assert_ne!(dial, Verdict::Allow, "a stranger, when one peer alone is allowed");
    assert!(gate.remove_allow_peer(&friend) && gate.remove_deny_peer(&foe) && !gate.remove_deny_peer(&foe));
    assert!(allowed(&gate, inner));

    gate.set_rules(rules.clone());
    assert_eq!(gate.rules(), rules);
}

#[test]
fn of_changes_at_one_time_none_is_lost() {
    let gate = gate(&[], &[]);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let gate = &gate;
            scope.spawn(move || {
                for n in 0..50 {
                    assert!(gate.add_deny(IpNet::from(std::net::IpAddr::from([10, thread, n, 1]))));
                }
            });
        }
    });
    assert_eq!(gate.rules().deny.len(), 200);
}

proptest! {
    /// After any changes, the gate says what a new one with the rules that are left says.
    #[test]
    fn changes_are_as_good_as_a_new_list(
        steps in proptest::collection::vec((any::<bool>(), any::<bool>(), 0..4_u8, 0..4_u8, 8..=32_u8), 0..40),
    ) {
        let changed = gate(&[], &[]);
        let (mut allow, mut deny) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for (denies, adds, b, c, bits) in steps {
            let net = IpNet::new([10, b, c, 0].into(), bits).unwrap().trunc();
            let (list, text) = (if denies { &mut deny } else { &mut allow }, net.to_string());
            let expected = if adds { list.insert(text) } else { list.remove(&text) };
            let done = match (denies, adds) {
                (true, true) => changed.add_deny(net),
                (true, false) => changed.remove_deny(net),
                (false, true) => changed.add_allow(net),
                (false, false) => changed.remove_allow(net),
            };
            prop_assert_eq!(done, expected);
        }
        let config = Config {
            allow: allow.into_iter().collect(),
            deny: deny.into_iter().collect(),
            ..Config::default()
        };
        let fresh = IpFilter::new(&config).unwrap();
        prop_assert_eq!(changed.rules(), fresh.rules());
        let peer = PeerId::random();
        for (b, c) in (0..4).flat_map(|b| (0..4).map(move |c| (b, c))) {
            let at = format!("/ip4/10.{b}.{c}.0/tcp/1");
            prop_assert_eq!(verdicts(&changed, &peer, &at), verdicts(&fresh, &peer, &at));
        }
    }
}
