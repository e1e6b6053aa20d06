//! Where values come from: layers, variables, flags, files, and what is told when one of them is wrong.
#![allow(missing_docs, clippy::unwrap_used)]

mod fakes;

use fakes::mistakes;
use skep_api::config::ValueOrigin;
use skep_swarm::{
    assemble::KeyInfo,
    profile::{BUILTIN, Profile, Sources},
};

fn var(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

fn keys(sources: &Sources) -> Vec<KeyInfo> {
    let profile = Profile::load(sources).unwrap();
    profile.check(&fakes::registry(), None).unwrap_or_else(|e| panic!("{e}")).explain()
}

/// The value of a key in effect and where it came from.
fn effective(sources: &Sources, path: &str) -> (String, String) {
    let keys = keys(sources);
    let info =
        keys.iter().find(|info| info.path() == path).unwrap_or_else(|| panic!("no {path} in {keys:?}"));
    let value = info.value.as_ref().map(ToString::to_string).unwrap_or_default();
    (value, info.origin.to_string())
}

fn load_error(sources: &Sources) -> String {
    Profile::load(sources).unwrap_err().to_string()
}

#[test]
fn every_built_in_profile_is_sound() {
    for (name, _) in BUILTIN {
        let profile = Profile::load(&Sources::new().profile(name)).unwrap();
        let plan = profile.check(&fakes::registry(), None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(plan.profile, name);
    }
}

#[test]
fn the_default_profile_listens_on_loopback_only() {
    let (listen, origin) = effective(&Sources::new(), "listen");
    assert_eq!(listen, r#"["/ip4/127.0.0.1/tcp/0","/ip4/127.0.0.1/udp/0/quic-v1"]"#);
    assert_eq!(origin, "built-in profile default");
}

#[test]
fn later_layers_win_and_each_value_knows_its_own() {
    let file = "[swarm]\nmax_connections = 150\nmax_pending_inbound = 3\nmax_inbound_streams = 4\n";
    let sources = Sources::new()
        .text("node.toml", file)
        .env([var("SKEP_SWARM__MAX_PENDING_INBOUND", "5"), var("SKEP_SWARM__MAX_INBOUND_STREAMS", "6")])
        .set("swarm.max_inbound_streams=7");
    let table = [
        ("pruner.watermark.high", "128", "built-in profile default"),
        ("swarm.max_connections", "150", "file node.toml:2"),
        ("swarm.max_pending_inbound", "5", "environment variable SKEP_SWARM__MAX_PENDING_INBOUND"),
        ("swarm.max_inbound_streams", "7", "--set swarm.max_inbound_streams=7"),
        ("swarm.max_connections_per_peer", "3", "default"),
    ];
    for (path, value, origin) in table {
        assert_eq!(effective(&sources, path), (value.into(), origin.into()), "{path}");
    }
}

#[test]
fn a_list_of_a_later_layer_replaces_the_whole_list() {
    let sources = Sources::new().text("node.toml", "[stack]\nprotocols = [\"ping\"]\ngates = []");
    assert_eq!(effective(&sources, "stack.protocols").0, r#"["ping"]"#);
    assert_eq!(effective(&sources, "stack.gates").0, "[]");
    assert_eq!(effective(&sources, "stack.transports").0, r#"["quic","tcp","websocket"]"#);
}

#[test]
fn figment_trap_no_lines_a_bad_key_is_blamed_on_its_own_line() {
    let file = "# comment\nlisten = []\n\n[swarm]\nmax_connections = 150\n\n  upgrade_timeout = 5\n";
    let sources = Sources::new().text("node.toml", file).env([var("SKEP_SWARM__MAX_PENDING_INBOUND", "5")]);
    assert_eq!(
        mistakes(&sources),
        "1 problem in the configuration:\n  \
         1. swarm.upgrade_timeout: invalid type: integer `5`, expected a duration with a unit, such as \
         \"250ms\", \"5s\", \"2m\" or \"1h\" [file node.toml:7]\n    \
         From accept to the registered connection, security and muxer together; for dials see `[dial]`."
    );
}

#[test]
fn figment_trap_an_unknown_profile_is_refused_and_not_made_up() {
    assert_eq!(
        load_error(&Sources::new().profile("publik")),
        "1 problem in the configuration:\n  \
         1. --profile: there is no profile \"publik\" [--profile publik]\n    \
         did you mean `public`? profiles: default, public, private_cluster, embedded_device; a file of your own \
         goes to --config"
    );
}

#[test]
fn figment_trap_single_underscores_stay_within_a_key() {
    let vars = [
        var("SKEP_TRANSPORT__TCP__CONNECT_TIMEOUT", "7s"),
        var("skep_Gate__ip_filter__Deny", "['10.0.0.0/8']"),
    ];
    let sources = Sources::new().env(vars);
    assert_eq!(effective(&sources, "transport.tcp.connect_timeout").0, "\"7s\"");
    let (deny, origin) = effective(&sources, "gate.ip_filter.deny");
    assert_eq!(deny, r#"["10.0.0.0/8"]"#);
    assert_eq!(origin, "environment variable skep_Gate__ip_filter__Deny");
}

#[test]
fn figment_trap_a_value_in_the_place_of_a_table_hides_nothing() {
    let sources = Sources::new()
        .text("node.toml", "[stack]\ntransports = [\"tcp\"]\n[transport.tcp]\nbacklog = 0\n")
        .env([var("SKEP_TRANSPORT", "tcp"), var("SKEP_STACK", "3")])
        .set("transport.tcp=true");
    assert_eq!(
        mistakes(&sources),
        "4 problems in the configuration:\n  \
         1. stack: expected a table, found 3 [environment variable SKEP_STACK]\n    \
         write [stack] with keys below it\n  \
         2. transport: expected tables of plugins, found \"tcp\" [environment variable SKEP_TRANSPORT]\n    \
         options go to [transport.<plugin>], names of plugins to `transports` in [stack]\n  \
         3. transport.tcp: expected a table, found true [--set transport.tcp=true]\n    \
         write [transport.tcp] with keys below it\n  \
         4. transport.tcp.backlog: 0 is out of range [file node.toml:4]\n    \
         allowed: 1 to 65535"
    );
}

#[test]
fn a_variable_that_matches_nothing_is_an_error() {
    let sources = Sources::new().env([
        var("HOME", "/home/somebody"),
        var("SKEP_LOG", "debug"),
        var("SKEP_PROFILE", "default"),
        var("SKEP_CONFIG", "node.toml"),
        var("SKEP_CONTROL", "/run/skep.sock"),
        var("SKEP_SWARM__MAX_CONNECTION", "5"),
        var("SKEP_SWARM_MAX_CONNECTIONS", "5"),
        var("SKEP_TRANSPORT__TPC__NODELAY", "true"),
    ]);
    assert_eq!(
        mistakes(&sources),
        "3 problems in the configuration:\n  \
         1. swarm_max_connections: unknown table or key [environment variable SKEP_SWARM_MAX_CONNECTIONS]\n    \
         did you mean `swarm`? known here: listen, identity, stack, swarm, dial, retry, transport, protector, security, muxer, gate, pruner, \
         resolver, ranker, peerstore, selector, resources, protocol, service, decorator; a variable is SKEP_<TABLE>__<KEY>, with two underscores between names\n  \
         2. transport.tpc: unknown transport \"tpc\" [environment variable SKEP_TRANSPORT__TPC__NODELAY]\n    \
         did you mean `tcp`? linked here: memory, quic, tcp, websocket; to link another, add it to `plugins!` in the binary\n  \
         3. swarm.max_connection: unknown key [environment variable SKEP_SWARM__MAX_CONNECTION]\n    \
         did you mean `max_connections`? keys here: allow_insecure, close_timeout, dead_after, emergency_memory, idle_timeout, \
         max_connections, max_connections_per_peer, max_inbound_streams, max_inbound_streams_total, max_outbound_streams, \
         max_outbound_streams_total, max_pending_inbound, outbound_reserve, persist_tags, protected_reserve, \
         stream_timeout, tag_grace, upgrade_timeout"
    );
}

#[test]
fn malformed_variables_are_named() {
    let vars = [var("SKEP_SWARM____X", "1"), var("SKEP_LISTEN", "[]"), var("skep_listen", "[]")];
    assert_eq!(
        load_error(&Sources::new().env(vars)),
        "2 problems in the configuration:\n  \
         1. swarm..x: a name in it is empty [environment variable SKEP_SWARM____X]\n    \
         write SKEP_<TABLE>__<KEY>: two underscores between names, one within them\n  \
         2. listen: set by two variables, SKEP_LISTEN and skep_listen [environment variable skep_listen]\n    \
         unset one of them"
    );
}

#[test]
fn values_of_variables_and_flags_are_toml_if_they_can_be() {
    let sources = Sources::new()
        .env([var("SKEP_LISTEN", r#"["/ip4/127.0.0.1/tcp/1"]"#), var("SKEP_DIAL__TIMEOUT", "\"9s\"")])
        .set("swarm.close_timeout=2s")
        .set("stack.pruner=none")
        .set("transport.tcp.nodelay = false");
    assert_eq!(effective(&sources, "listen").0, r#"["/ip4/127.0.0.1/tcp/1"]"#);
    assert_eq!(effective(&sources, "dial.timeout").0, "\"9s\"");
    assert_eq!(effective(&sources, "swarm.close_timeout").0, "\"2s\"");
    assert_eq!(effective(&sources, "stack.pruner").0, "\"none\"");
    assert_eq!(effective(&sources, "transport.tcp.nodelay").0, "false");
}

#[test]
fn flags_reach_the_instances_of_plugins_by_quoted_names() {
    let sources = Sources::new()
        .set(r#"stack.transports=["tcp", "tcp/lan=1"]"#)
        .set(r#"transport."tcp/lan=1".nodelay=false"#);
    assert!(mistakes(&sources).contains("\"tcp/lan=1\" is not the name of a plugin"));
    let sources = Sources::new()
        .set(r#"stack.transports=["tcp", "tcp/lan"]"#)
        .set(r#"transport."tcp/lan".nodelay=false"#);
    assert_eq!(effective(&sources, "transport.\"tcp/lan\".nodelay").0, "false");
    assert_eq!(effective(&sources, "transport.tcp.nodelay").0, "true");
}

#[test]
fn malformed_flags_are_named() {
    let help =
        "write --set KEY=VALUE, such as swarm.max_connections=100 or transport.\"tcp/lan\".nodelay=true";
    assert_eq!(
        load_error(&Sources::new().set("swarm").set("=1").set("a b=1")),
        format!(
            "3 problems in the configuration:\n  \
             1. --set: \"swarm\" has no `=` [--set swarm]\n    {help}\n  \
             2. --set: \"\" is not a key [--set =1]\n    {help}\n  \
             3. --set: \"a b\" is not a key [--set a b=1]\n    {help}"
        )
    );
}

#[test]
fn a_file_with_a_syntax_error_is_named_with_line_and_column() {
    assert_eq!(
        load_error(&Sources::new().text("node.toml", "[swarm]\nmax_connections = = 5\n")),
        "1 problem in the configuration:\n  \
         1. --config: not TOML: extra `=`, expected nothing [file node.toml:2:19]\n    \
         correct the syntax at this line and column; nothing of the file was read"
    );
    let twice =
        load_error(&Sources::new().text("node.toml", "[swarm]\nmax_connections = 1\nmax_connections = 2\n"));
    assert!(twice.contains("duplicate key [file node.toml:3:1]"), "{twice}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = std::env::temp_dir().join("skep-profile-test-of-no-file");
    let missing = folder.join("node.toml").display().to_string();
    let error = load_error(&Sources::new().file(&missing).profile("nope").set("x"));
    assert!(error.starts_with("3 problems"), "all at once: {error}");
    assert!(error.contains("--config: the file cannot be read: No such file"), "{error}");
    assert!(error.contains(&format!("[--config {missing}]")), "{error}");
}

#[test]
fn a_file_is_read_like_text() {
    let path = std::env::temp_dir().join(format!("skep-profile-{}.toml", std::process::id()));
    std::fs::write(&path, "[swarm]\nmax_connections = 150\n").unwrap();
    let found = effective(&Sources::new().file(&path), "swarm.max_connections");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(found, ("150".into(), format!("file {}:2", path.display())));
}

#[test]
fn the_identity_table_is_decoded_by_itself() {
    let profile = Profile::load(&Sources::new().profile("public")).unwrap();
    let identity = profile.identity().unwrap();
    assert_eq!((identity.key_file, identity.generate), (Some("skep.key".into()), true));

    let sources = Sources::new().set("identity.generate=false");
    let errors = Profile::load(&sources).unwrap().identity().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the configuration:\n  \
         1. identity.generate: there is no key file and none may be made [--set identity.generate=false]\n    \
         set identity.key_file, or identity.generate = true for a new key at every start"
    );
}

#[test]
fn the_origin_of_a_key_no_layer_sets_is_its_default() {
    let keys = keys(&Sources::new());
    let ttl = keys.iter().find(|info| info.path() == "transport.tcp.ttl").unwrap();
    assert_eq!((&ttl.value, &ttl.origin), (&None, &ValueOrigin::Default));
}
