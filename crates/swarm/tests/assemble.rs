//! From a profile to the layers of a node: what comes out, and every mistake with its exact text.
#![allow(missing_docs, clippy::unwrap_used)]

mod fakes;

use fakes::mistakes;
use skep_swarm::profile::{Profile, Sources};

/// A file over the default profile.
fn file(text: &str) -> Sources {
    Sources::new().text("node.toml", text)
}

#[test]
fn the_layers_come_out_in_the_order_of_the_profile() {
    let text = "[stack]\ntransports = [\"tcp/lan\", \"memory\", \"tcp\"]\nselector = \"none\"\n[transport.\"tcp/lan\"]\nnodelay = false";
    let profile = Profile::load(&file(text)).unwrap();
    let assembly = profile.assemble(&fakes::registry(), &fakes::cx(), Some(1024)).unwrap();
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let stack = assembly.stack;
    assert_eq!(
        stack.transports.iter().map(|t| t.name.clone()).collect::<Vec<_>>(),
        names(&["tcp/lan", "memory", "tcp"])
    );
    assert_eq!(
        stack.protocols.iter().map(|p| p.name.clone()).collect::<Vec<_>>(),
        names(&["ping", "identify"])
    );
    assert!(format!("{:?}", stack.transports[0].object).contains("nodelay: false"));
    assert!(format!("{:?}", stack.transports[2].object).contains("nodelay: true"));
    assert_eq!(stack.transports[0].krate, "skep-swarm");
    assert_eq!(stack.pruner.unwrap().name, "watermark");
    assert!(stack.selector.is_none());
    assert_eq!(assembly.settings.max_connections, 192);
    assert_eq!(assembly.listen, ["/ip4/127.0.0.1/tcp/0".parse().unwrap()]);
    assert!(assembly.identity.generate);
    let left_out =
        "/ip4/127.0.0.1/udp/0/quic-v1 of the profile default is left out: no transport here serves it";
    assert_eq!(assembly.notes, [left_out]);
}

#[test]
fn the_order_of_registration_changes_nothing() {
    let profile = Profile::load(&Sources::new()).unwrap();
    let shuffled = skep_swarm::registry::Registry::builder()
        .add(fakes::identify::PLUGIN)
        .add(fakes::watermark::PLUGIN)
        .add(fakes::yamux::PLUGIN)
        .add(fakes::tcp::PLUGIN)
        .add(fakes::best::PLUGIN)
        .add(fakes::scoped::PLUGIN)
        .add(fakes::store::PLUGIN)
        .add(fakes::ping::PLUGIN)
        .add(fakes::noise::PLUGIN)
        .add(fakes::quic::PLUGIN)
        .add(fakes::tls::PLUGIN)
        .add(fakes::renamed(fakes::tcp::PLUGIN, "websocket"))
        .add(fakes::smart::PLUGIN)
        .add(fakes::dns::PLUGIN)
        .add(fakes::health::PLUGIN)
        .add(fakes::ip_filter::PLUGIN)
        .add(fakes::reconnect::PLUGIN)
        .build()
        .unwrap();
    let one = profile.assemble(&fakes::builder().build().unwrap(), &fakes::cx(), None).unwrap();
    let two = profile.assemble(&shuffled, &fakes::cx(), None).unwrap();
    assert_eq!(format!("{:?}", one.stack), format!("{:?}", two.stack));
    assert_eq!(one.plan.show(), two.plan.show());
}

#[test]
fn ten_mistakes_are_ten_errors() {
    let text = r#"listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/999.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1"]
colour = "red"

[stack]
transports = ["tcp", "tcp"]
security = "noise"
muxers = ["yamx"]

[gate.ip_filter]
denny = ["10.0.0.0/8"]

[transport.memory]

[swarm]
max_connections = "many"
"#;
    let sources = file(text).env([("SKEP_PRUNER__WATERMARK__LOW".into(), "few".into())]);
    assert_eq!(
        mistakes(&sources),
        r#"10 problems in the configuration:
  1. colour: unknown table or key [file node.toml:2]
    known here: listen, identity, stack, swarm, dial, retry, transport, protector, security, muxer, gate, pruner, resolver, ranker, peerstore, selector, resources, protocol, service, decorator
  2. listen[1]: "/ip4/999.0.0.1/tcp/1" is not an address: failed to parse: invalid IPv4 address syntax [file node.toml:1]
    an address is such as "/ip4/0.0.0.0/tcp/4001" or "/ip6/::/tcp/4001"
  3. stack.transports[1]: "tcp" is in the list twice [file node.toml:5]
    leave one of them out; for a second instance write "name/instance"
  4. stack.security: expected a list of names, found "noise" [file node.toml:6]
    write security = ["name", …]; [] for none
  5. stack.muxers[0]: unknown muxer "yamx" [file node.toml:7]
    did you mean `yamux`? linked here: yamux; to link another, add it to `plugins!` in the binary
  6. transport.memory: nobody references this table [file node.toml:12]
    add "memory" to `transports` in [stack], or remove the table
  7. gate.ip_filter.denny: unknown key [file node.toml:10]
    did you mean `deny`? keys here: deny
  8. pruner.watermark.low: invalid type: string "few", expected usize [environment variable SKEP_PRUNER__WATERMARK__LOW]
    Connections that are left.
  9. swarm.max_connections: invalid type: string "many", expected u32 [file node.toml:15]
    Connections in total, both directions; more inbound ones wait in the listener's queue.
  10. listen: no transport serves "/ip4/127.0.0.1/udp/1/quic-v1" [file node.toml:1]
    transports in [stack]: tcp; add one that serves it, or remove the address"#
    );
}

/// Each mistake by itself, with its exact text.
#[test]
fn one_mistake_is_one_error() {
    let table = [
        (
            "[stack]\ngate = [\"ip_filter\"]",
            "stack.gate: unknown key [file node.toml:2]\n    \
             did you mean `gates`? keys here: transports, protector, security, muxers, gates, pruner, resolver, ranker, peerstore, selector, resources, protocols, services, decorators, shadow_gates",
        ),
        (
            "[stack]\nresolver = [\"dns\"]",
            "stack.resolver: expected one name, found [\"dns\"] [file node.toml:2]\n    \
             write resolver = \"name\"; \"none\" for none",
        ),
        (
            "[stack]\nprotocols = [\"ping\", 5]",
            "stack.protocols[1]: expected a name, found 5 [file node.toml:2]\n    \
             write protocols = [\"name\", …]; [] for none",
        ),
        (
            "[stack]\nprotocols = [\"ping/\"]",
            "stack.protocols[0]: \"ping/\" is not the name of a plugin [file node.toml:2]\n    \
             write \"name\" or \"name/instance\", of letters, digits, `_` and `-`",
        ),
        (
            "[stack]\ngates = [\"ban\"]",
            "stack.gates[0]: unknown gate \"ban\" [file node.toml:2]\n    \
             linked here: ip_filter, prefix_limit, rate_limit; to link another, add it to `plugins!` in the binary",
        ),
        (
            "[stack]\npruner = \"none\"\n[pruner.watermark]\nlow = 1",
            "pruner.watermark: nobody references this table [file node.toml:3]\n    \
             set `pruner = \"watermark\"` in [stack], or remove the table",
        ),
        (
            "[transport.\"tcp/lan\"]\nnodelay = true",
            "transport.\"tcp/lan\": nobody references this table [file node.toml:1]\n    \
             add \"tcp/lan\" to `transports` in [stack], or remove the table",
        ),
        (
            "[transports.tcp]\nnodelay = true",
            "transports: unknown table or key [file node.toml:1]\n    \
             did you mean `stack.transports`? known here: listen, identity, stack, swarm, dial, retry, transport, protector, security, muxer, \
             gate, pruner, resolver, ranker, peerstore, selector, resources, protocol, service, decorator",
        ),
        (
            "listen = \"/ip4/127.0.0.1/tcp/0\"",
            "listen: expected a list of addresses, found \"/ip4/127.0.0.1/tcp/0\" [file node.toml:1]\n    \
             write listen = [\"/ip4/0.0.0.0/tcp/4001\"]; [] to dial only",
        ),
        (
            "listen = [\"/ip4/127.0.0.1/tcp/1\", \"/ip4/127.0.0.1/tcp/1\"]",
            "listen[1]: \"/ip4/127.0.0.1/tcp/1\" is in the list twice [file node.toml:1]\n    \
             leave one of them out",
        ),
        (
            "[gate.ip_filter]\ndeny = [\"10.0.0.0\"]",
            "gate.ip_filter.deny[0]: \"10.0.0.0\" is no network [file node.toml:2]\n    such as 10.0.0.0/8",
        ),
        (
            "[protocol.ping]\ninterval = \"1s\"",
            "protocol.ping.interval: unknown key [file node.toml:2]\n    this plugin has no keys",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(
            mistakes(&file(text)),
            format!("1 problem in the configuration:\n  1. {expected}"),
            "{text}"
        );
    }
}

/// What only several plugins together get wrong.
#[test]
fn rules_across_plugins() {
    let table = [
        (
            "listen = []\n[stack]\ntransports = []",
            "stack.transports: no transport: the node could reach nobody [file node.toml:3]\n    \
             name at least one in [stack] transports, such as [\"tcp\"]",
        ),
        (
            "[stack]\nsecurity = []",
            "stack.security: transport `tcp` makes raw links, which need a security layer [file node.toml:2]\n    \
             name at least one in [stack] security; `skep plugins` lists those that are linked",
        ),
        (
            "[stack]\nmuxers = []",
            "stack.muxers: transport `tcp` makes raw links, which need a muxer [file node.toml:2]\n    \
             name at least one in [stack] muxers; `skep plugins` lists those that are linked",
        ),
        (
            "listen = [\"/memory/7\"]",
            "listen: no transport serves \"/memory/7\" [file node.toml:1]\n    \
             transports in [stack]: quic, tcp, websocket; add one that serves it, or remove the address",
        ),
        (
            "[stack]\npeerstore = \"none\"\n[swarm]\npersist_tags = true",
            "swarm.persist_tags: there is no peer store to keep tags in [file node.toml:4]\n    \
             set `[stack] peerstore`, or leave it at false",
        ),
        (
            "[swarm]\ntag_grace = \"999ms\"",
            "swarm.tag_grace: 999ms leaves no time to connect [file node.toml:2]\n    \
             allowed: 1s and more, or \"never\"",
        ),
        (
            "[swarm]\ntag_grace = \"always\"",
            "swarm.tag_grace: invalid value: string \"always\", expected \"never\", or a duration with a unit, such as \
             \"30s\" or \"5m\" [file node.toml:2]\n    How long a peer without a connection keeps its tags; not those \
             that ask to be kept connected, nor its protections, which stay.",
        ),
        (
            "[swarm]\npersist_tags = 1",
            "swarm.persist_tags: invalid type: integer `1`, expected a boolean [file node.toml:2]\n    \
             Whether tags and protections are kept in the peer store, for the next start; not those that decay.",
        ),
        (
            "[swarm]\nmax_connections = 128",
            "swarm.max_connections: 128 is not above the high mark of pruner `watermark`, which is 128 [file \
             node.toml:2]\n    raise swarm.max_connections, or lower the marks in [pruner.watermark]",
        ),
        (
            "[pruner.watermark]\nhigh = 500",
            "pruner.watermark: the high mark 500 is not below swarm.max_connections, which is 192 [file \
             node.toml:1]\n    raise swarm.max_connections, or lower the marks in [pruner.watermark]",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(
            mistakes(&file(text)),
            format!("1 problem in the configuration:\n  1. {expected}"),
            "{text}"
        );
    }
}

#[test]
fn the_cap_has_to_fit_in_the_file_descriptors() {
    let profile = Profile::load(&Sources::new()).unwrap();
    profile.check(&fakes::registry(), Some(193)).unwrap();
    assert_eq!(
        profile.check(&fakes::registry(), Some(192)).unwrap_err().to_string(),
        "1 problem in the configuration:\n  \
         1. swarm.max_connections: 192 connections do not fit in the 192 files that the process may open [built-in \
         profile default]\n    raise `ulimit -n`, or set it below 192"
    );
    // All connections of QUIC share a socket.
    let muxed = "listen = [\"/ip4/127.0.0.1/udp/0/quic-v1\"]\n[stack]\ntransports = [\"quic\"]";
    Profile::load(&file(muxed)).unwrap().check(&fakes::registry(), Some(64)).unwrap();
}

/// Limits that are written and contradict each other; what is derived gives way, unless the pruner would never act.
#[test]
fn limits_of_resources_fit_those_of_the_swarm() {
    let table = [
        (
            "[swarm]\nmax_connections = 400",
            "swarm.max_connections: 400 is above resources.scoped.max_descriptors, which is 192 [file node.toml:2]\n    \
             raise resources.scoped.max_descriptors, or lower swarm.max_connections to 192",
        ),
        (
            "[resources.scoped]\nlimits = { system = { connections = 150 } }",
            "resources.scoped.limits.system.connections: 150 is below swarm.max_connections, which is 192 \
             [file node.toml:2]\n    \
             raise resources.scoped.limits.system.connections, or lower swarm.max_connections to 150",
        ),
        (
            "[resources.scoped]\nmax_descriptors = 1024",
            "resources.scoped.max_descriptors: 1024 descriptors do not fit in the 1000 files that the process may \
             open [file node.toml:2]\n    raise `ulimit -n`, or set it below 1000",
        ),
        (
            "[resources.scoped]\nderived = 128",
            "pruner.watermark: the high mark 128 is not below the 128 descriptors that resources grant (derived: \
             half of all) [built-in profile default]\n    \
             lower the marks in [pruner.watermark], or raise resources.scoped.max_descriptors",
        ),
    ];
    for (text, expected) in table {
        let errors = Profile::load(&file(text)).unwrap().check(&fakes::registry(), Some(1_000)).unwrap_err();
        assert_eq!(errors.to_string(), format!("1 problem in the configuration:\n  1. {expected}"), "{text}");
    }
    let profile = Profile::load(&file("[resources.scoped]\nderived = 129")).unwrap();
    let assembly = profile.assemble(&fakes::registry(), &fakes::cx(), Some(258)).unwrap();
    let note = "swarm.max_connections is 192, but resources grant 129 descriptors (derived: half of all)";
    assert_eq!(assembly.notes, [note]);
    // Connections over a transport that is muxed have no descriptor of their own.
    let muxed = "listen = []\n[stack]\ntransports = [\"memory\"]\n[resources.scoped]\nderived = 10";
    Profile::load(&file(muxed)).unwrap().check(&fakes::registry(), None).unwrap();
    let none = "[stack]\nresources = \"none\"\n[swarm]\nmax_connections = 400";
    let profile = Profile::load(&file(none)).unwrap();
    assert!(profile.assemble(&fakes::registry(), &fakes::cx(), None).unwrap().stack.resources.is_none());
}

#[test]
fn a_plugin_may_be_called_none() {
    let registry = fakes::builder().add(fakes::renamed(fakes::scoped::PLUGIN, "none")).build().unwrap();
    let profile = Profile::load(&file("[stack]\nresources = \"none\"")).unwrap();
    let stack = profile.assemble(&registry, &fakes::cx(), None).unwrap().stack;
    assert_eq!(stack.resources.unwrap().name, "none");
    let profile = Profile::load(&file("[stack]\nresources = \"none\"\nselector = \"none\"")).unwrap();
    assert!(profile.assemble(&registry, &fakes::cx(), None).unwrap().stack.selector.is_none());
}

#[test]
fn a_muxed_transport_needs_nothing_above_it() {
    let text = "listen = [\"/memory/7\"]\n[stack]\ntransports = [\"memory\"]\nsecurity = []\nmuxers = []";
    Profile::load(&file(text)).unwrap().check(&fakes::registry(), None).unwrap();
}

#[test]
fn options_of_a_built_in_profile_for_a_plugin_that_was_replaced_are_no_mistake() {
    let text = "[stack]\npruner = \"none\"";
    Profile::load(&file(text)).unwrap().check(&fakes::registry(), None).unwrap();
}

#[test]
fn a_plugin_that_is_not_linked_is_an_error_and_not_a_node_without_it() {
    let registry = skep_swarm::registry::Registry::builder().add(fakes::tcp::PLUGIN).build().unwrap();
    let errors = Profile::load(&Sources::new()).unwrap().check(&registry, None).unwrap_err();
    let first = errors.iter().next().unwrap();
    assert_eq!(errors.iter().count(), 16);
    assert_eq!(
        first.to_string(),
        "stack.transports[0]: unknown transport \"quic\" [built-in profile default]\n    \
         linked here: tcp; to link another, add it to `plugins!` in the binary"
    );
}

#[test]
fn a_check_finds_what_a_start_would() {
    for text in ["", "[stack]\nmuxers = []", "[transport.tcp]\nbacklog = 0", "colour = 1"] {
        let profile = Profile::load(&file(text)).unwrap();
        let check = profile.check(&fakes::registry(), Some(100)).map(|plan| plan.show());
        let start =
            profile.assemble(&fakes::registry(), &fakes::cx(), Some(100)).map(|node| node.plan.show());
        assert_eq!(check, start);
    }
}
