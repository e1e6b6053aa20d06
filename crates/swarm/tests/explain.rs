//! What a node says about its own configuration: key by key, as a profile, and as a schema.
#![allow(missing_docs, clippy::unwrap_used)]

mod fakes;

use serde_json::{Value, json};
use skep_swarm::{
    assemble::{Plan, schema},
    profile::{BUILTIN, Profile, Sources},
};

fn plan(sources: &Sources) -> Plan {
    Profile::load(sources).unwrap().check(&fakes::registry(), None).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_key_in_use_is_explained() {
    let sources = Sources::new().text(
        "node.toml",
        "[stack]\ntransports = [\"tcp\", \"tcp/lan\"]\n[transport.\"tcp/lan\"]\nnodelay = false\n",
    );
    let lines: Vec<String> = plan(&sources)
        .explain()
        .iter()
        .filter(|info| ["", "identity", "stack", "transport.\"tcp/lan\""].contains(&info.table.as_str()))
        .map(|info| {
            let value = info.value.as_ref().map_or("-".into(), ToString::to_string);
            let file = info.read_by.rsplit('/').next().unwrap();
            format!("{} = {value} [{}] {file}: {}", info.path(), info.origin, info.doc)
        })
        .collect();
    let expected = r#"
listen = ["/ip4/127.0.0.1/tcp/0"] [built-in profile default] listen.rs: Addresses to listen on.
identity.key_file = - [default] identity.rs: File of the private key; a relative path starts at the working directory. Without it the key, and with it the peer id, is new at every start.
identity.generate = true [built-in profile default] identity.rs: Whether a key is made when there is none; with `key_file` it is written there. Default true.
stack.transports = ["tcp","tcp/lan"] [file node.toml:2] references.rs: Plugins of layer transport, in order.
stack.protector = "none" [default] references.rs: The plugin of layer protector, or "none".
stack.security = ["tls","noise"] [built-in profile default] references.rs: Plugins of layer security, in order.
stack.muxers = ["yamux"] [built-in profile default] references.rs: Plugins of layer muxer, in order.
stack.gates = ["ip_filter"] [built-in profile default] references.rs: Plugins of layer gate, in order.
stack.pruner = "watermark" [built-in profile default] references.rs: The plugin of layer pruner, or "none".
stack.resolver = "dns" [built-in profile default] references.rs: The plugin of layer resolver, or "none".
stack.ranker = "smart" [built-in profile default] references.rs: The plugin of layer ranker, or "none".
stack.peerstore = "memory" [built-in profile default] references.rs: The plugin of layer peerstore, or "none".
stack.selector = "best" [built-in profile default] references.rs: The plugin of layer selector, or "none".
stack.resources = "scoped" [built-in profile default] references.rs: The plugin of layer resources, or "none".
stack.protocols = ["ping","identify"] [built-in profile default] references.rs: Plugins of layer protocol, in order.
stack.services = ["reconnect","health"] [built-in profile default] references.rs: Plugins of layer service, in order.
stack.decorators = {} [default] references.rs: What goes around which plugin: for each layer and plugin, decorators with the outermost first.
stack.shadow_gates = [] [default] references.rs: Gates of `gates` that are asked and counted only: their denials have no effect.
transport."tcp/lan".nodelay = false [file node.toml:4] lower.rs: Off costs latency.
transport."tcp/lan".backlog = 1024 [default] lower.rs: Connections that wait, 1 to 65535.
transport."tcp/lan".connect_timeout = "5s" [default] lower.rs: How long a dial may take.
transport."tcp/lan".ttl = - [default] lower.rs: Hops."#;
    assert_eq!(lines.join("\n"), expected.trim_start());
}

#[test]
fn what_is_shown_loads_back_to_the_same() {
    let lan = "listen = []\n[stack]\ntransports = [\"tcp\", \"tcp/lan\"]\nresolver = \"none\"\n[transport.\"tcp/lan\"]\nttl = 4\n[gate.ip_filter]\ndeny = [\"10.0.0.0/8\"]";
    let mut all: Vec<Sources> = BUILTIN.iter().map(|(name, _)| Sources::new().profile(*name)).collect();
    all.push(Sources::new().text("node.toml", lan));
    for sources in all {
        let first = plan(&sources).show();
        for base in ["default", &plan(&sources).profile] {
            let again = plan(&Sources::new().profile(base).text("shown.toml", first.as_str()));
            assert_eq!(again.show(), first);
            assert!(again.explain().iter().all(|info| !info.origin.to_string().starts_with("built-in")));
        }
    }
}

#[test]
fn what_is_shown_is_a_profile_that_people_can_read() {
    let shown = plan(&Sources::new().set("stack.protocols=[]")).show();
    let expected = include_str!("testdata/shown.toml");
    assert_eq!(shown, expected);
}

#[test]
fn the_schema_has_a_table_for_every_plugin() {
    let schema = schema(&fakes::registry());
    let at = |path: &str| schema.pointer(path).unwrap_or(&Value::Null).clone();
    assert_eq!(at("/additionalProperties"), json!(false));
    assert_eq!(at("/properties/transport/properties/tcp/$ref"), json!("#/$defs/transport.tcp"));
    assert_eq!(
        at("/properties/transport/patternProperties"),
        json!({
            "^memory/[A-Za-z0-9_-]+$": { "$ref": "#/$defs/transport.memory" },
            "^quic/[A-Za-z0-9_-]+$": { "$ref": "#/$defs/transport.quic" },
            "^tcp/[A-Za-z0-9_-]+$": { "$ref": "#/$defs/transport.tcp" },
            "^websocket/[A-Za-z0-9_-]+$": { "$ref": "#/$defs/transport.websocket" },
        })
    );
    assert_eq!(at("/$defs/transport.tcp/properties/nodelay/type"), json!("boolean"));
    assert_eq!(at("/$defs/transport.tcp/additionalProperties"), json!(false));
    assert_eq!(
        at("/properties/stack/properties/transports/items/pattern"),
        json!("^(memory|quic|tcp|websocket)(/[A-Za-z0-9_-]+)?$")
    );
    assert_eq!(
        at("/properties/stack/properties/pruner/pattern"),
        json!("^(none|(watermark)(/[A-Za-z0-9_-]+)?)$")
    );
}

#[test]
fn every_reference_in_the_schema_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let schema = schema(&fakes::registry());
    let mut references = Vec::new();
    walk(&schema, &mut references);
    assert!(references.contains(&"#/$defs/transport.tcp.Duration"));
    for reference in references {
        assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
