use super::*;
use proptest::prelude::*;
use skep_api::{
    Multiaddr, PeerId,
    gate::{Census, Nobody},
};

/// A connection of the model.
#[derive(Clone, Copy, Debug)]
struct Conn {
    role: Role,
    ip: IpAddr,
    shaking: bool,
}

/// Connections, counted one by one.
#[derive(Debug, Default)]
struct Conns(Vec<Conn>);

impl Conns {
    fn inbound(ips: &[&str]) -> Self {
        let conn = |ip: &&str| Conn { role: Role::Listener, ip: ip.parse().unwrap(), shaking: false };
        Self(ips.iter().map(conn).collect())
    }

    fn count(&self, ip: IpAddr, bits: u8, matches: impl Fn(&Conn) -> bool) -> usize {
        let net = IpNet::new(ip, bits).unwrap();
        self.0.iter().filter(|conn| matches(conn) && net.contains(&conn.ip)).count()
    }
}

impl Census for Conns {
    fn connections(&self, role: Role, ip: IpAddr, bits: u8, enough: usize) -> usize {
        self.count(ip, bits, |conn| conn.role == role).min(enough)
    }
    fn handshakes(&self, ip: IpAddr, bits: u8, enough: usize) -> usize {
        self.count(ip, bits, |conn| conn.role == Role::Listener && conn.shaking).min(enough)
    }
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn gate(table: &str) -> PrefixLimit {
    PrefixLimit::new(&toml::from_str(table).unwrap()).unwrap()
}

/// The words of all checkpoints that are denied, for connections of both sides.
fn denied(gate: &PrefixLimit, remote: &str, census: &dyn Census) -> Vec<(&'static str, Role)> {
    let (remote, local, peer) = (&addr(remote), &addr("/ip4/127.0.0.1/tcp/1"), &PeerId::random());
    let points = |role| {
        [
            Checkpoint::PeerDial { peer },
            Checkpoint::AddrDial { peer: Some(peer), addr: remote },
            Checkpoint::Link { local, remote },
            Checkpoint::Peer { role, peer, remote },
            Checkpoint::Ready { role, peer, remote },
            Checkpoint::Stream { peer, remote, protocol: "/x/1.0.0" },
            Checkpoint::Again { role, peer, remote },
        ]
    };
    let of = |role| {
        let ours = points(role).into_iter().filter(move |point| point.role().is_none_or(|side| side == role));
        ours.filter(|point| gate.check(point, &GateCx::new(census)) != Verdict::Allow)
            .map(move |point| (point.name(), role))
    };
    of(Role::Listener).chain(of(Role::Dialer)).collect()
}

const INBOUND: [(&str, Role); 3] =
    [("link", Role::Listener), ("ready", Role::Listener), ("again", Role::Listener)];

#[test]
fn a_full_prefix_is_named_with_what_it_has() {
    let gate = gate("inbound_v4 = [{ bits = 32, max = 2 }, { bits = 24, max = 3 }]");
    let census = Conns::inbound(&["192.0.2.1", "192.0.2.1", "192.0.2.9"]);
    let (local, remote) = (&addr("/ip4/127.0.0.1/tcp/1"), &addr("/ip4/192.0.2.1/tcp/1"));
    let said = |remote| match gate.check(&Checkpoint::Link { local, remote }, &GateCx::new(&census)) {
        Verdict::Deny(denial) => denial,
        Verdict::Allow => panic!("allowed"),
    };
    let address = said(remote);
    assert_eq!(
        address.to_string(),
        "192.0.2.1 has 2 of 2 inbound connections (rule: inbound_v4 = 192.0.2.1)"
    );
    assert_eq!((address.code, address.key()), (Code::RESOURCE_LIMIT, "inbound_v4"));
    let subnet = said(&addr("/ip4/192.0.2.7/udp/1/quic-v1")).to_string();
    assert_eq!(subnet, "192.0.2.0/24 has 3 of 3 inbound connections (rule: inbound_v4 = 192.0.2.0/24)");
    assert_eq!(denied(&gate, "/ip4/192.0.2.7/tcp/1", &census), INBOUND);
    assert_eq!(denied(&gate, "/ip4/192.0.3.7/tcp/1", &census), []);
    assert_eq!(denied(&gate, "/ip4/192.0.2.1/tcp/1", &Nobody), []);
}

#[test]
fn handshakes_of_a_host_are_counted_when_another_begins() {
    let gate = gate("inbound_v6 = []\nhandshakes = 2");
    let shaking = |ip: &str| Conn { role: Role::Listener, ip: ip.parse().unwrap(), shaking: true };
    let census = Conns(vec![shaking("2001:db8::1"), shaking("2001:db8:0:99::1")]);
    assert_eq!(denied(&gate, "/ip6/2001:db8:0:77::7/tcp/1", &census), [("link", Role::Listener)]);
    assert_eq!(denied(&gate, "/ip6/2001:db8:0:177::7/tcp/1", &census), []);
    let (local, remote) = (&addr("/ip4/127.0.0.1/tcp/1"), &addr("/ip6/2001:db8::1/tcp/1"));
    let verdict = gate.check(&Checkpoint::Link { local, remote }, &GateCx::new(&census));
    let Verdict::Deny(denial) = verdict else { panic!("allowed") };
    assert_eq!(
        denial.to_string(),
        "2001:db8::/56 has 2 of 2 inbound handshakes under way (rule: handshakes = 2001:db8::/56)"
    );
    assert_eq!(
        denied(
            &PrefixLimit::new(&Config { handshakes: 0, ..Config::default() }).unwrap(),
            "/ip6/2001:db8::1/tcp/1",
            &census
        ),
        []
    );
}

#[test]
fn what_is_in_no_prefix_or_exempt_is_not_limited() {
    let full = "inbound_v4 = [{ bits = 1, max = 1 }]\ninbound_v6 = [{ bits = 1, max = 1 }]";
    let census = Conns::inbound(&["10.0.0.1", "127.0.0.1", "::1"]);
    let with_default = gate(full);
    assert_eq!(denied(&with_default, "/ip4/10.0.0.2/tcp/1", &census), INBOUND);
    assert_eq!(denied(&with_default, "/ip6/::ffff:10.0.0.2/tcp/1", &census), INBOUND, "mapped is IPv4");
    let relayed = format!("/ip4/10.0.0.2/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
    for free in ["/memory/1", "/dns4/example.com/tcp/1", &relayed, "/ip4/127.0.0.9/tcp/1", "/ip6/::1/tcp/1"] {
        assert_eq!(denied(&with_default, free, &census), [], "{free}");
    }
    let others = gate(&format!("{full}\nexempt = [\"10.0.0.0/8\"]"));
    assert_eq!(denied(&others, "/ip4/10.0.0.2/tcp/1", &census), []);
    assert_eq!(denied(&others, "/ip4/127.0.0.9/tcp/1", &census), INBOUND);
}

#[test]
fn the_default_has_room_for_a_few_and_dials_anywhere() {
    let gate = PrefixLimit::new(&Config::default()).unwrap();
    let of = |role, n: usize| Conns(vec![Conn { role, ip: [192, 0, 2, 1].into(), shaking: false }; n]);
    assert_eq!(denied(&gate, "/ip4/192.0.2.1/tcp/1", &of(Role::Listener, 31)), []);
    assert_eq!(denied(&gate, "/ip4/192.0.2.1/tcp/1", &of(Role::Listener, 32)), INBOUND);
    assert_eq!(denied(&gate, "/ip4/192.0.2.1/tcp/1", &of(Role::Dialer, 1_000)), []);
}

/// Limits that are in order: from the longest prefix, with more room for the wider.
fn limits() -> impl Strategy<Value = Vec<PrefixMax>> {
    let entries = proptest::collection::btree_map(28_u8..=32, 0_u32..4, 0..3);
    entries.prop_map(|entries| {
        let mut max = 0;
        let mut limit = |(bits, more)| {
            max += more + u32::from(max == 0);
            PrefixMax { bits, max }
        };
        entries.into_iter().rev().map(&mut limit).collect()
    })
}

fn conn() -> impl Strategy<Value = Conn> {
    (any::<bool>(), 0_u8..16, any::<bool>()).prop_map(|(inbound, last, shaking)| Conn {
        role: if inbound { Role::Listener } else { Role::Dialer },
        ip: [192, 0, 2, last].into(),
        shaking,
    })
}

proptest! {
    /// However connections come: those that the gate lets in never exceed a limit, and it refuses none that fits.
    #[test]
    fn as_many_as_fit_are_let_in(
        inbound_v4 in limits(),
        outbound_v4 in limits(),
        handshakes in 0_u32..4,
        arrivals in proptest::collection::vec(conn(), 0..40),
    ) {
        let config = Config { inbound_v4, outbound_v4, handshakes, ..Config::default() };
        let gate = PrefixLimit::new(&config).unwrap();
        let mut census = Conns::default();
        for conn in arrivals {
            let (local, remote) = (&addr("/ip4/127.0.0.1/tcp/1"), &addr(&format!("/ip4/{}/tcp/1", conn.ip)));
            let limits = if conn.role == Role::Listener { &config.inbound_v4 } else { &config.outbound_v4 };
            let shared = |a: IpAddr, bits: u8| {
                IpNet::new(a, bits).unwrap().trunc() == IpNet::new(conn.ip, bits).unwrap().trunc()
            };
            let room = limits.iter().all(|limit| {
                let held = census.0.iter().filter(|c| c.role == conn.role && shared(c.ip, limit.bits));
                held.count() < limit.max as usize
            });
            let same = census.0.iter().filter(|c| c.role == Role::Listener && c.shaking && c.ip == conn.ip);
            let shakes = handshakes == 0 || same.count() < handshakes as usize;
            let point = match conn.role {
                Role::Listener => Checkpoint::Link { local, remote },
                Role::Dialer => Checkpoint::AddrDial { peer: None, addr: remote },
            };
            let allowed = gate.check(&point, &GateCx::new(&census)) == Verdict::Allow;
            prop_assert_eq!(allowed, room && (shakes || conn.role == Role::Dialer));
            let peer = &PeerId::random();
            let ready = Checkpoint::Ready { role: conn.role, peer, remote };
            prop_assert_eq!(gate.check(&ready, &GateCx::new(&census)) == Verdict::Allow, room);
            if allowed {
                census.0.push(conn);
            }
        }
    }
}
