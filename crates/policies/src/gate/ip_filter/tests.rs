use super::*;
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

/// The verdicts at all four checkpoints; the peer is known at all but the link.
fn verdicts(gate: &IpFilter, peer: &PeerId, remote: &str) -> [Verdict; 4] {
    let (remote, local) = (addr(remote), addr("/ip4/127.0.0.1/tcp/1"));
    let (remote, local, role) = (&remote, &local, Role::Listener);
    [
        gate.check(&Checkpoint::AddrDial { peer: Some(peer), addr: remote }, &GateCx::new(&Nobody)),
        gate.check(&Checkpoint::Link { local, remote }, &GateCx::new(&Nobody)),
        gate.check(&Checkpoint::Peer { role, peer, remote }, &GateCx::new(&Nobody)),
        gate.check(&Checkpoint::Ready { role, peer, remote }, &GateCx::new(&Nobody)),
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
    assert_eq!(verdicts(&only_friend, &foe, at).each_ref().map(deny), [true, false, true, true]);

    let not_foe = peers(&[friend, foe], &[foe]);
    let found = verdicts(&not_foe, &foe, at);
    assert_eq!(found.each_ref().map(deny), [true, false, true, true]);
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
