use super::*;
use proptest::prelude::*;

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// What becomes of each of these addresses of one peer: its code, or `""`.
fn judged(addrs: &[&str], rules: &Rules<'_>, host: &[&str]) -> Vec<&'static str> {
    let addrs: Vec<_> = addrs.iter().map(|text| addr(text)).collect();
    let host = host.iter().map(|ip| ip.parse().unwrap()).collect();
    let together = Together::of(&addrs, &host);
    let good = |addr: &&Multiaddr| judge(addr, &together, rules).is_none();
    let best = Best::of(addrs.iter().filter(good));
    let code = |addr| match judge(addr, &together, rules) {
        Some(cause) => cause.code(),
        None => best.better(addr).map_or("", |_| "duplicate"),
    };
    addrs.iter().map(code).collect()
}

fn lenient() -> Rules<'static> {
    Rules { peer: None, by_caller: false, force_direct: false, private_addresses: true, own: &[] }
}

#[test]
fn what_is_for_listening_is_not_dialled() {
    let codes = judged(
        &["/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "/ip4/203.0.113.1/tcp/0", "/memory/0", "/memory/1"],
        &lenient(),
        &[],
    );
    assert_eq!(codes, ["undialable", "undialable", "undialable", "undialable", ""]);
}

#[test]
fn loopback_is_dialled_only_on_this_host() {
    let both = ["/ip4/127.0.0.1/tcp/1", "/ip4/192.0.2.7/tcp/1"];
    assert_eq!(judged(&both, &lenient(), &["192.0.2.8"]), ["foreign_loopback", ""]);
    // The peer's other address is this host's: so the peer is here.
    assert_eq!(judged(&both, &lenient(), &["192.0.2.7"]), ["", ""]);
    assert_eq!(judged(&both[..1], &lenient(), &["192.0.2.8"]), [""]);
    // What cannot be dialled, and names, are no place where the peer might be instead.
    let none = ["/ip4/127.0.0.1/tcp/1", "/ip4/0.0.0.0/tcp/1", "/dns4/localhost/tcp/1"];
    assert_eq!(judged(&none, &lenient(), &[]), ["", "undialable", ""]);
    let asked_for = Rules { by_caller: true, ..lenient() };
    assert_eq!(judged(&both, &asked_for, &[]), ["", ""]);
}

#[test]
fn private_networks_are_not_dialled_where_only_public_ones_are() {
    let rules = Rules { private_addresses: false, ..lenient() };
    let addrs = [
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/100.64.1.1/tcp/1",
        "/ip6/fd00::1/tcp/1",
        "/ip4/169.254.1.1/tcp/1",
        "/ip6/::ffff:192.168.1.1/tcp/1",
        "/ip4/203.0.113.1/tcp/1",
        "/memory/1",
    ];
    let private = "private_address";
    assert_eq!(judged(&addrs, &rules, &[]), [private, private, private, private, private, "", ""]);
    // Nor is this host, for a stranger who says to be there.
    assert_eq!(judged(&["/ip4/127.0.0.1/tcp/1"], &rules, &[]), ["foreign_loopback"]);
    let asked_for = Rules { by_caller: true, ..rules };
    assert_eq!(judged(&["/ip4/127.0.0.1/tcp/1"], &asked_for, &[]), [""]);
}

#[test]
fn what_is_reserved_or_for_many_is_not_dialled() {
    let addrs = ["/ip4/224.0.0.251/udp/5353/quic-v1", "/ip4/255.255.255.255/tcp/1", "/ip4/240.0.0.1/tcp/1"];
    assert_eq!(judged(&addrs, &lenient(), &[]), ["undialable"; 3]);
    assert_eq!(judged(&["/ip6/ff02::1/tcp/1", "/ip4/0.1.2.3/tcp/1"], &lenient(), &[]), ["undialable"; 2]);
}

#[test]
fn what_is_not_tried_stands_for_nothing() {
    // The better of the two is for listening, so the other one is dialled.
    let addrs = ["/ip4/203.0.113.1/tcp/0", "/ip4/203.0.113.1/tcp/0/ws"].map(addr);
    assert!(Best::of([]).better(&addrs[1]).is_none());
    assert_eq!(Best::of(&addrs[..1]).better(&addrs[1]), Some(addrs[0].clone()));
}

#[test]
fn of_two_that_share_a_port_the_better_is_dialled() {
    let addrs = [
        "/ip4/203.0.113.1/udp/1/quic-v1/webtransport",
        "/ip4/203.0.113.1/udp/1/quic-v1",
        "/ip4/203.0.113.1/udp/1/quic",
        "/ip4/203.0.113.1/tcp/1/ws",
        "/ip4/203.0.113.1/tcp/1",
        "/ip4/203.0.113.1/tcp/2/ws",
        "/ip4/203.0.113.1/udp/1/webrtc-direct",
    ];
    assert_eq!(judged(&addrs, &lenient(), &[]), ["duplicate", "", "duplicate", "duplicate", "", "", ""]);
}

#[test]
fn own_relayed_and_foreign_addresses() {
    let (us, them) = (PeerId::random(), PeerId::random());
    let own = [addr("/ip4/203.0.113.1/tcp/4001")];
    let rules = Rules { peer: Some(them), force_direct: true, own: &own, ..lenient() };
    let addrs = [
        "/ip4/203.0.113.1/tcp/4001".to_string(),
        "/ip4/203.0.113.1/tcp/4002".to_string(),
        format!("/ip4/203.0.113.2/tcp/1/p2p/{us}/p2p-circuit"),
        format!("/ip4/203.0.113.2/tcp/1/p2p/{us}"),
    ];
    let addrs: Vec<_> = addrs.iter().map(String::as_str).collect();
    assert_eq!(judged(&addrs, &rules, &[]), ["own_address", "", "relayed", "other_peer"]);
}

fn any_addr() -> impl Strategy<Value = Multiaddr> {
    let ip = prop_oneof![
        (1..5_u8).prop_map(|n| format!("/ip4/203.0.113.{n}")),
        (1..5_u8).prop_map(|n| format!("/ip4/10.0.0.{n}")),
        (1..5_u8).prop_map(|n| format!("/ip6/2606:4700::{n}")),
        Just("/ip4/127.0.0.1".to_string()),
        Just("/ip4/0.0.0.0".to_string()),
    ];
    let rest = prop_oneof![
        (0..4_u16).prop_map(|p| format!("/tcp/{p}")),
        (0..4_u16).prop_map(|p| format!("/tcp/{p}/ws")),
        (0..4_u16).prop_map(|p| format!("/udp/{p}/quic-v1")),
        (0..4_u16).prop_map(|p| format!("/udp/{p}/quic-v1/webtransport")),
    ];
    (ip, rest).prop_map(|(ip, rest)| format!("{ip}{rest}").parse().unwrap())
}

proptest! {
    /// Passing addresses over never leaves a peer without a way to it: what stands for another is dialled itself.
    #[test]
    fn a_duplicate_names_one_that_is_dialled(addrs in proptest::collection::vec(any_addr(), 0..30), private: bool) {
        let rules = Rules { private_addresses: private, ..lenient() };
        let together = Together::of(&addrs, &BTreeSet::new());
        let good: Vec<_> = addrs.iter().filter(|addr| judge(addr, &together, &rules).is_none()).collect();
        let best = Best::of(good.iter().copied());
        for addr in &addrs {
            if let Some(better) = best.better(addr) {
                prop_assert!(good.contains(&&better) && better != *addr);
                prop_assert!(best.better(&better).is_none(), "{} for {}", better, addr);
            }
        }
    }

    #[test]
    fn the_order_of_addresses_changes_nothing(addrs in proptest::collection::vec(any_addr(), 0..20)) {
        let host = BTreeSet::new();
        let together = Together::of(&addrs, &host);
        let reversed = Together::of(addrs.iter().rev(), &host);
        for addr in &addrs {
            let code = |together| judge(addr, together, &lenient()).map(|cause| cause.code());
            prop_assert_eq!(code(&together), code(&reversed));
        }
    }

    #[test]
    fn nothing_private_and_nothing_for_listening_passes(addrs in proptest::collection::vec(any_addr(), 0..30)) {
        let rules = Rules { private_addresses: false, ..lenient() };
        let together = Together::of(&addrs, &BTreeSet::new());
        for addr in addrs.iter().filter(|addr| judge(addr, &together, &rules).is_none()) {
            prop_assert!(!matches!(address::scope(addr), Scope::Private | Scope::LinkLocal));
            prop_assert!(address::port(addr) != Some(0));
        }
    }
}
