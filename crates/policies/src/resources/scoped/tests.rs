use super::*;
use skep_api::{
    Keypair, Multiaddr, PeerId,
    resources::{Priority, Resource, StreamScope},
    security::Role,
};
use std::{panic::AssertUnwindSafe, time::Duration};

const MACHINE: Machine = Machine { memory: Some(16 << 30), open_files: Some(1_024) };

fn config(table: &str) -> Config {
    toml::from_str(table).unwrap()
}

fn manager(table: &str) -> Scoped {
    Scoped::new(&config(table), &MACHINE).unwrap()
}

/// No charges and no rate, so that counts alone decide.
fn counting(table: &str) -> Scoped {
    let start = Config {
        connection_memory: Bytes(Some(0)),
        stream_memory: Bytes(Some(0)),
        inbound_rate: 0,
        ..config(table)
    };
    Scoped::new(&start, &MACHINE).unwrap()
}

fn peer(n: u8) -> PeerId {
    Keypair::ed25519_from_bytes([n; 32]).unwrap().public().to_peer_id()
}

fn inbound(manager: &Scoped, from: &str) -> Result<Box<dyn ConnectionScope>, LimitExceeded> {
    let remote: Multiaddr = from.parse().unwrap();
    manager.open_connection(&ConnectionRequest::new(Role::Listener, &remote))
}

fn outbound(manager: &Scoped, to: &str) -> Result<Box<dyn ConnectionScope>, LimitExceeded> {
    let remote: Multiaddr = to.parse().unwrap();
    manager.open_connection(&ConnectionRequest::new(Role::Dialer, &remote))
}

/// What a scope has in use.
fn used(manager: &Scoped, scope: &str, resource: Resource) -> u64 {
    let rows = manager.usage(usize::MAX);
    rows.iter().find(|row| row.scope == scope && row.resource == resource).map_or(0, |row| row.current)
}

fn system_and_transient(manager: &Scoped) -> (u64, u64) {
    (used(manager, "system", Resource::Connections), used(manager, "transient", Resource::Connections))
}

/// Neither counted, nor remembered by name.
fn nothing_is_held(manager: &Scoped) -> bool {
    let unused = manager.usage(usize::MAX).iter().all(|row| row.current == 0);
    let tree = manager.0.to_give();
    unused && tree.scopes.iter().count() == 4 && tree.connections.is_empty() && tree.streams.is_empty()
}

#[test]
fn a_connection_moves_in_place() {
    let manager = counting("limits = { system = { connections = 1 } }");
    let mut first = inbound(&manager, "/memory/1").unwrap();
    assert_eq!(system_and_transient(&manager), (1, 1));
    first.set_peer(&peer(1)).unwrap();
    assert_eq!(system_and_transient(&manager), (1, 0));
    assert_eq!(used(&manager, &format!("peer {}", peer(1)), Resource::ConnectionsInbound), 1);
    let denial = inbound(&manager, "/memory/2").unwrap_err();
    assert_eq!(
        denial.to_string(),
        "connections, system: 1 of 1 in use; raise `resources.scoped.limits.system.connections`"
    );
    drop(first);
    assert!(nothing_is_held(&manager));
    inbound(&manager, "/memory/2").unwrap();
}

#[test]
fn a_peer_that_has_enough_leaves_the_connection_where_it_was() {
    let manager = counting("limits = { peer = { connections = 1 } }");
    let mut first = inbound(&manager, "/memory/1").unwrap();
    let mut second = outbound(&manager, "/memory/1").unwrap();
    first.set_peer(&peer(1)).unwrap();
    let denial = second.set_peer(&peer(1)).unwrap_err();
    assert_eq!(
        denial.to_string(),
        format!(
            "connections, peer {}: 1 of 1 in use; raise `resources.scoped.limits.peer.connections`",
            peer(1)
        )
    );
    assert_eq!(system_and_transient(&manager), (2, 1));
    second.set_peer(&peer(2)).unwrap();
    assert!(second.set_peer(&peer(2)).unwrap_err().scope.contains("fails closed"));
    drop((first, second));
    assert!(nothing_is_held(&manager));
}

#[test]
fn a_stream_moves_from_the_transient_scope_to_those_of_its_protocol() {
    let manager = counting(
        "services = { identify = [\"/id\", \"/push\"] }\n\
         limits = { service_peer = { streams = 1 }, protocol = { streams = 3 } }",
    );
    let mut connection = inbound(&manager, "/memory/1").unwrap();
    connection.set_peer(&peer(1)).unwrap();
    let mut first = connection.open_stream(Role::Listener).unwrap();
    let mut second = connection.open_stream(Role::Dialer).unwrap();
    assert_eq!(used(&manager, "transient", Resource::Streams), 2);
    first.set_protocol("/id").unwrap();
    assert_eq!(used(&manager, "transient", Resource::Streams), 1);
    let id = peer(1);
    for scope in [
        "protocol /id",
        "service identify",
        &format!("protocol_peer /id {id}"),
        &format!("service_peer identify {id}"),
    ] {
        assert_eq!(used(&manager, scope, Resource::StreamsInbound), 1, "{scope}");
    }
    // Another protocol of the same service.
    let denial = second.set_protocol("/push").unwrap_err();
    assert_eq!(
        denial.to_string(),
        format!(
            "streams, service_peer identify {id}: 1 of 1 in use; raise `resources.scoped.limits.service_peer.streams`"
        )
    );
    assert_eq!(used(&manager, "transient", Resource::Streams), 1);
    assert!(manager.usage(usize::MAX).iter().all(|row| row.scope != "protocol /push"));
    second.set_protocol("/other").unwrap();
    drop(connection);
    assert_eq!(used(&manager, &format!("peer {id}"), Resource::Streams), 2);
    drop((first, second));
    assert!(nothing_is_held(&manager));
}

#[test]
fn memory_is_taken_from_all_scopes_by_priority_and_outlives_its_owner() {
    let manager = counting("limits = { peer = { memory = \"1000B\" }, stream = { memory = \"700B\" } }");
    let mut connection = inbound(&manager, "/memory/1").unwrap();
    connection.set_peer(&peer(1)).unwrap();
    let stream = connection.open_stream(Role::Listener).unwrap();
    let first = connection.reserve(300, Priority::Low).unwrap();
    let denial = connection.reserve(101, Priority::Low).unwrap_err();
    assert_eq!(
        denial.to_string(),
        format!(
            "memory of low priority, peer {}: 300 of 400 in use; raise `resources.scoped.limits.peer.memory`",
            peer(1)
        )
    );
    assert_eq!(stream.reserve(701, Priority::Always).unwrap_err().scope, format!("memory, peer {}", peer(1)));
    drop(first);
    assert_eq!(stream.reserve(701, Priority::Always).unwrap_err().scope, "memory, stream");
    let first = connection.reserve(300, Priority::Low).unwrap();
    let second = stream.reserve(700, Priority::Always).unwrap();
    assert_eq!((first.bytes(), second.bytes()), (300, 700));
    assert_eq!(used(&manager, "system", Resource::Memory), 1_000);
    drop((stream, connection));
    assert_eq!(used(&manager, "system", Resource::Memory), 1_000);
    drop((first, second));
    assert!(nothing_is_held(&manager));
}

#[test]
fn what_is_charged_is_given_back() {
    let manager =
        manager("connection_memory = 100\nstream_memory = 10\nlimits = { system = { memory = 115 } }");
    let connection = inbound(&manager, "/memory/1").unwrap();
    let stream = connection.open_stream(Role::Dialer).unwrap();
    assert_eq!(connection.open_stream(Role::Dialer).unwrap_err().scope, "memory, system");
    drop(stream);
    connection.open_stream(Role::Dialer).unwrap();
    drop(connection);
    assert!(nothing_is_held(&manager));
}

#[test]
fn subnets_are_counted_with_all_that_lie_in_them() {
    let manager = counting(
        "ip4_limits = [{ prefix = 32, connections = 1 }, { prefix = 24, connections = 2 }]\n\
         trusted = [\"10.0.0.0/8\"]",
    );
    let first = inbound(&manager, "/ip4/192.0.2.1/tcp/1").unwrap();
    let denial = inbound(&manager, "/ip6/::ffff:192.0.2.1/tcp/2").unwrap_err();
    assert_eq!(
        denial.to_string(),
        "connections_inbound, ip 192.0.2.1/32: 1 of 1 in use; raise `resources.scoped.ip4_limits[0].connections`"
    );
    let second = inbound(&manager, "/ip4/192.0.2.2/tcp/1").unwrap();
    let denial = inbound(&manager, "/ip4/192.0.2.3/tcp/1").unwrap_err();
    assert_eq!(denial.key, "resources.scoped.ip4_limits[1].connections");
    // What this node dials, trusts, or is itself does not count; nor does what a relay stands for.
    let others = [
        outbound(&manager, "/ip4/192.0.2.1/tcp/1").unwrap(),
        inbound(&manager, "/ip4/10.0.0.1/tcp/1").unwrap(),
        inbound(&manager, "/ip4/10.0.0.1/tcp/2").unwrap(),
        inbound(&manager, "/ip4/127.0.0.1/tcp/1").unwrap(),
        inbound(&manager, "/ip4/127.0.0.1/tcp/2").unwrap(),
        inbound(&manager, &format!("/ip4/192.0.2.1/tcp/1/p2p/{}/p2p-circuit", peer(1))).unwrap(),
    ];
    drop(first);
    inbound(&manager, "/ip4/192.0.2.1/tcp/1").unwrap();
    drop((second, others));
    assert!(nothing_is_held(&manager));
    let rows = manager.usage(usize::MAX);
    let denied: Vec<_> = rows.iter().map(|row| (row.scope.as_str(), row.denied)).collect();
    assert_eq!(denied, [("ip4 /32", 1), ("ip4 /24", 1)]);
}

#[test]
fn ipv6_is_counted_by_56_and_48() {
    let manager = counting("");
    let from = |site: u8, subnet: u8, host: u8| format!("/ip6/2001:db8:{site}:{subnet}00::{host}/tcp/1");
    let same: Vec<_> = (0..8).map(|host| inbound(&manager, &from(1, 1, host)).unwrap()).collect();
    assert_eq!(
        inbound(&manager, &from(1, 1, 9)).unwrap_err().scope,
        "connections_inbound, ip 2001:db8:1:100::/56"
    );
    let site: Vec<_> = (2..9).flat_map(|subnet| (0..8).map(move |host| (subnet, host))).collect();
    let site: Vec<_> =
        site.into_iter().map(|(subnet, host)| inbound(&manager, &from(1, subnet, host)).unwrap()).collect();
    assert_eq!(
        inbound(&manager, &from(1, 9, 1)).unwrap_err().scope,
        "connections_inbound, ip 2001:db8:1::/48"
    );
    inbound(&manager, &from(2, 1, 1)).unwrap();
    drop((same, site));
    assert!(nothing_is_held(&manager));
}

#[tokio::test(start_paused = true)]
async fn a_host_is_paced_and_few_are_remembered() {
    let manager = manager("inbound_rate = 2\ninbound_burst = 3\nrate_hosts = 4");
    let from = |host: u8| format!("/ip4/192.0.2.{host}/tcp/1");
    for _ in 0..3 {
        inbound(&manager, &from(1)).unwrap();
    }
    let denial = inbound(&manager, &from(1)).unwrap_err();
    assert_eq!(
        denial.to_string(),
        "rate, ip 192.0.2.1/32: 3 of 3 in use; raise `resources.scoped.inbound_rate`"
    );
    inbound(&manager, &from(2)).unwrap();
    outbound(&manager, &from(1)).unwrap();
    tokio::time::advance(Duration::from_millis(500)).await;
    inbound(&manager, &from(1)).unwrap();
    inbound(&manager, &from(1)).unwrap_err();
    for host in 0..100 {
        inbound(&manager, &from(host)).ok();
    }
    assert_eq!(manager.0.to_give().rates.hosts(), 4);
    assert!(nothing_is_held(&manager));
}

#[test]
fn a_flood_of_strangers_leaves_room_for_the_allowed() {
    let manager = counting(&format!(
        "allowlist = [\"192.0.2.0/24/p2p/{}\", \"/p2p/{}\"]\nip4_limits = []\n\
         limits = {{ system = {{ connections = 3 }}, allowlisted_system = {{ connections = 2 }} }}",
        peer(1),
        peer(2)
    ));
    let mut strangers: Vec<_> =
        (1..4).map(|n| inbound(&manager, &format!("/ip4/198.51.100.{n}/tcp/1")).unwrap()).collect();
    assert_eq!(inbound(&manager, "/ip4/198.51.100.9/tcp/1").unwrap_err().scope, "connections, system");
    let mut friend = inbound(&manager, "/ip4/192.0.2.1/tcp/1").unwrap();
    friend.set_peer(&peer(1)).unwrap();
    assert_eq!(used(&manager, "allowlisted_system", Resource::Connections), 1);

    // From the same network, but somebody else: there is no room for strangers.
    let mut other = inbound(&manager, "/ip4/192.0.2.2/tcp/1").unwrap();
    assert_eq!(used(&manager, "allowlisted_transient", Resource::Connections), 1);
    let stream = other.open_stream(Role::Listener).unwrap();
    assert_eq!(other.set_peer(&peer(3)).unwrap_err().scope, "connections, system");
    assert_eq!(used(&manager, "allowlisted_transient", Resource::Streams), 1);
    strangers.pop();
    other.set_peer(&peer(3)).unwrap();
    assert_eq!(system_and_transient(&manager), (3, 2));
    assert_eq!(used(&manager, "transient", Resource::Streams), 1);
    assert_eq!(used(&manager, "allowlisted_system", Resource::Streams), 0);
    drop((stream, other));

    // A peer that is allowed wherever it is begins as a stranger and does not stay one.
    let mut roaming = inbound(&manager, "/ip4/203.0.113.1/tcp/1").unwrap();
    assert_eq!(system_and_transient(&manager), (3, 3));
    roaming.set_peer(&peer(2)).unwrap();
    assert_eq!(system_and_transient(&manager), (2, 2));
    let (remote, expected) = ("/ip4/203.0.113.1/tcp/1".parse().unwrap(), peer(2));
    let mut request = ConnectionRequest::new(Role::Dialer, &remote);
    request.expected = Some(&expected);
    assert_eq!(manager.open_connection(&request).unwrap_err().scope, "connections, allowlisted_system");
    drop((strangers, friend, roaming));
    assert!(nothing_is_held(&manager));
}

#[test]
fn who_is_not_the_allowed_peer_counts_by_address_again() {
    let table = format!(
        "allowlist = [\"192.0.2.1/p2p/{}\"]\nip4_limits = [{{ prefix = 32, connections = 1 }}]",
        peer(1)
    );
    let manager = counting(&table);
    let mut first = inbound(&manager, "/ip4/192.0.2.1/tcp/1").unwrap();
    let mut second = inbound(&manager, "/ip4/192.0.2.1/tcp/2").unwrap();
    first.set_peer(&peer(2)).unwrap();
    assert_eq!(second.set_peer(&peer(3)).unwrap_err().scope, "connections_inbound, ip 192.0.2.1/32");
    second.set_peer(&peer(1)).unwrap();
    drop(first);
    assert!(used(&manager, "ip 192.0.2.1/32", Resource::ConnectionsInbound) == 0);
    drop(second);
    assert!(nothing_is_held(&manager));
}

#[test]
fn after_a_panic_within_nothing_is_granted_and_all_is_given_back() {
    let manager = counting("");
    let mut connection = inbound(&manager, "/memory/1").unwrap();
    let mut stream = connection.open_stream(Role::Listener).unwrap();
    let shared = Arc::clone(&manager.0);
    let poison = AssertUnwindSafe(|| {
        let _tree = shared.tree.lock().unwrap();
        panic!("on purpose");
    });
    std::panic::catch_unwind(poison).unwrap_err();
    let denials = [
        inbound(&manager, "/memory/2").unwrap_err(),
        connection.set_peer(&peer(1)).unwrap_err(),
        connection.open_stream(Role::Dialer).unwrap_err(),
        stream.set_protocol("/a").unwrap_err(),
        stream.reserve(1, Priority::Always).unwrap_err(),
    ];
    for denial in denials {
        assert_eq!(denial.scope, "the resource manager fails closed: a step within it panicked");
    }
    drop((connection, stream));
    assert!(nothing_is_held(&manager));
}

#[test]
fn usage_names_the_widest_first_and_no_more_than_asked() {
    let manager = counting("limits = { peer = { connections = 1 } }");
    let mut held = Vec::new();
    for n in 1..4 {
        let mut connection = inbound(&manager, "/memory/1").unwrap();
        connection.set_peer(&peer(n)).unwrap();
        held.push(connection);
    }
    inbound(&manager, "/memory/1").unwrap().set_peer(&peer(1)).unwrap_err();
    let rows = manager.usage(3);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| format!("{} {} {}/{:?} {}", row.scope, row.resource, row.current, row.limit, row.denied))
        .collect();
    assert_eq!(
        rows,
        [
            "system connections 3/Some(4352) 0".to_string(),
            "system connections_inbound 3/Some(2176) 0".into(),
            "system descriptors 3/Some(512) 0".into(),
            "peer connections 0/Some(1) 1".into(),
            format!("peer {} connections 1/Some(1) 0", peer(1)),
            format!("peer {} connections_inbound 1/Some(1) 0", peer(1)),
            format!("peer {} descriptors 1/Some(8) 0", peer(1)),
        ]
    );
    assert!(manager.usage(0).is_empty());
}

/// Every limit of a machine, as it is printed.
fn printed(config: &Config, machine: &Machine) -> Vec<String> {
    let limits = Scoped::new(config, machine).unwrap().limits();
    let text = |l: &Limit| {
        let limit = l.limit.map_or("unlimited".into(), |limit| limit.to_string());
        format!("{} {} = {limit} ({})", l.scope, l.resource, l.why)
    };
    limits.iter().map(text).collect()
}

#[test]
fn limits_say_where_they_come_from() {
    let table = config(
        "limits = { system = { streams_inbound = 100000, streams_outbound = 2 }, peer = { memory = \"unlimited\" } }",
    );
    let rows = printed(&table, &MACHINE);
    for row in [
        "system connections = 4352 (derived: 256 + 2048 for each GiB of max_memory)",
        "system streams = 100000 (derived: as streams_inbound)",
        "system streams_inbound = 100000 (configured)",
        "system memory = 2147483648 (derived: 1/8 of 16.0 GiB)",
        "system descriptors = 512 (derived: half of the 1024 files that the process may open)",
        "transient memory = 301989888 (derived: 32.0 MiB + 128.0 MiB for each GiB of max_memory, at most 1/4 of the limit of `system`)",
        "transient streams_outbound = 2 (derived: as `system`)",
        "transient descriptors = 256 (derived: 1/2 of the limit of `system`)",
        "peer connections = 8 (derived: the same on every machine)",
        "peer memory = unlimited (configured)",
        "connection streams = unlimited (no limit)",
        "ip4 /32 connections_inbound = 8 (default)",
        "ip6 /48 connections_inbound = 64 (default)",
        "ip4 /32, ip6 /56, per second rate = 5 (default)",
    ] {
        assert!(rows.iter().any(|found| found == row), "{row} is not among\n{}", rows.join("\n"));
    }
    assert!(rows.iter().all(|row| !row.contains("allowlisted")));
    let keys: Vec<_> = manager("").limits().into_iter().map(|limit| limit.key).collect();
    for key in ["max_memory", "max_descriptors", "limits.peer.streams_inbound", "ip6_limits[1].connections"] {
        assert!(keys.contains(&format!("resources.scoped.{key}")), "{key} is not among {keys:?}");
    }
}

#[test]
fn no_scope_is_wider_than_the_system() {
    for (memory, open_files) in [(16 << 20, 64), (256 << 20, 256), (4 << 30, 1_024), (1 << 40, 1 << 20)] {
        let machine = Machine { memory: Some(memory), open_files: Some(open_files) };
        let table = Config { allowlist: vec!["10.0.0.0/8".into()], ..Config::default() };
        let limits = Scoped::new(&table, &machine).unwrap().limits();
        let of = |scope: &str, resource| {
            limits.iter().find(|l| l.scope == scope && l.resource == resource).and_then(|l| l.limit)
        };
        for limit in limits.iter().filter(|l| !l.scope.starts_with("ip")) {
            let system = of("system", limit.resource).unwrap();
            let own = limit.limit.unwrap_or(0);
            assert!(own <= system, "{limit:?} is above {system}");
            let total = kind::total(limit.resource).and_then(|total| of(&limit.scope, total));
            assert!(total.is_none_or(|total| own <= total), "{limit:?} is above {total:?}");
        }
        assert_eq!(of("system", Resource::Memory), Some(memory / 8));
        assert_eq!(of("system", Resource::Descriptors), Some(open_files / 2));
        // What the smallest profiles need.
        assert!(of("system", Resource::ConnectionsInbound) >= Some(128));
        assert!(of("transient", Resource::Descriptors) >= Some(16));
    }
    let unlimited = Machine { memory: None, open_files: Some(u64::MAX) };
    let rows = printed(&Config::default(), &unlimited);
    assert!(rows.contains(
        &"system descriptors = unlimited (no limit: the process may open any number of files)".into()
    ));
}

/// A stream's guard is made by the connection and needs nothing of it afterwards.
#[test]
fn a_stream_may_outlive_its_connection() {
    let manager = counting("");
    let mut connection = inbound(&manager, "/memory/1").unwrap();
    connection.set_peer(&peer(1)).unwrap();
    let mut stream: Box<dyn StreamScope> = connection.open_stream(Role::Listener).unwrap();
    drop(connection);
    stream.set_protocol("/a").unwrap();
    let memory = stream.reserve(5, Priority::Always).unwrap();
    assert_eq!(used(&manager, &format!("peer {}", peer(1)), Resource::Memory), 5);
    drop(stream);
    assert_eq!(used(&manager, "protocol /a", Resource::Memory), 5);
    drop(memory);
    assert!(manager.usage(usize::MAX).is_empty());
}
