//! Two hundred peers in one IPv6 /56, and two hundred behind one IPv4 address: what a cluster looks like, and what a
//! flood looks like. Only the configuration can tell them apart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

use skep_api::{
    BuildCx, Keypair, Multiaddr, PeerId,
    resources::{ConnectionRequest, ConnectionScope, LimitExceeded, ResourceManager},
    security::Role,
};
use skep_policies::resources::{
    none::Unlimited,
    scoped::{Machine, Scoped},
};
use std::sync::LazyLock;

const MACHINE: Machine = Machine { memory: Some(8 << 30), open_files: Some(4_096) };

static PEERS: LazyLock<Vec<PeerId>> = LazyLock::new(|| {
    let key = |n: u8| Keypair::ed25519_from_bytes([n; 32]).unwrap();
    (0..200).map(|n| key(n).public().to_peer_id()).collect()
});

/// The peers of a cluster, by where they are.
fn cluster(network: &str) -> Vec<Multiaddr> {
    let address = |n: usize| match network {
        "ip6" => format!("/ip6/2001:db8::{:x}:{n:x}/tcp/4001", n % 7),
        _ => format!("/ip4/203.0.113.1/tcp/{}", 10_000 + n),
    };
    (0..PEERS.len()).map(|n| address(n).parse().unwrap()).collect()
}

/// Each peer connects and opens a stream; those who may, and why the others may not.
fn mesh(manager: &dyn ResourceManager, network: &str) -> (Vec<Box<dyn ConnectionScope>>, Vec<LimitExceeded>) {
    let (mut connected, mut denials) = (Vec::new(), Vec::new());
    for (remote, peer) in cluster(network).iter().zip(PEERS.iter()) {
        let admit = || {
            let mut connection = manager.open_connection(&ConnectionRequest::new(Role::Listener, remote))?;
            connection.set_peer(peer)?;
            connection.open_stream(Role::Listener)?.set_protocol("/test/1")?;
            Ok(connection)
        };
        match admit() {
            Ok(connection) => connected.push(connection),
            Err(denial) => denials.push(denial),
        }
    }
    (connected, denials)
}

fn scoped(table: &str) -> Scoped {
    Scoped::new(&toml::from_str(table).unwrap(), &MACHINE).unwrap()
}

#[test]
fn strangers_of_one_network_are_denied_by_a_key_that_is_named() {
    for (network, key) in [("ip6", "ip6_limits[0]"), ("ip4", "ip4_limits[0]")] {
        let (connected, denials) = mesh(&scoped(""), network);
        assert_eq!((connected.len(), denials.len()), (8, 192));
        for denial in denials {
            assert_eq!(denial.key, format!("resources.scoped.{key}.connections"));
        }
    }
}

#[test]
fn a_network_that_is_trusted_meshes_fully() {
    let manager = scoped("trusted = [\"2001:db8::/56\", \"203.0.113.1\"]");
    let (six, denied_six) = mesh(&manager, "ip6");
    let (four, denied_four) = mesh(&manager, "ip4");
    assert_eq!((six.len(), denied_six.len()), (200, 0));
    assert_eq!((four.len(), denied_four.len()), (200, 0));
    assert!(manager.usage(usize::MAX).iter().all(|row| row.denied == 0));
}

#[test]
fn without_limits_nothing_is_denied() {
    for network in ["ip6", "ip4"] {
        let (connected, denials) = mesh(&Unlimited, network);
        assert_eq!((connected.len(), denials.len()), (200, 0));
    }
}

/// The machine that this runs on has room for the example, too.
#[tokio::test]
async fn the_manager_of_a_profile_reads_what_its_machine_has() {
    let section = skep_api::ConfigSection::empty("resources.scoped");
    let tasks = skep_testkit::build_cx();
    let cx: &BuildCx = &tasks;
    let manager = (skep_policies::resources::scoped::PLUGIN.build)(&section, cx).unwrap();
    let limits = manager.limits();
    let memory = limits.iter().find(|limit| limit.key == "resources.scoped.max_memory").unwrap();
    assert!(memory.why.starts_with("derived: 1/8 of "), "{memory:?}");
    assert!(memory.limit > Some(1 << 20), "{memory:?}");
}
