//! Security protocols of a profile, private networks, and what goes around plugins.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod fakes;

use fakes::security;
use skep_swarm::{
    assemble::Assembly,
    profile::{Profile, Sources},
    registry::Registry,
};

fn file(text: &str) -> Sources {
    Sources::new().text("node.toml", text)
}

/// All fakes and those of this file.
fn registry() -> Registry {
    fakes::builder()
        .add(fakes::memory::PLUGIN)
        .add(security::plaintext::PLUGIN)
        .add(security::psk::PLUGIN)
        .add(security::ribbon::PLUGIN)
        .build()
        .unwrap()
}

fn assembled(text: &str) -> Assembly {
    Profile::load(&file(text)).unwrap().assemble(&registry(), &fakes::cx(), None).unwrap()
}

fn refused(text: &str) -> String {
    let profile = Profile::load(&file(text)).unwrap();
    profile
        .assemble(&registry(), &fakes::cx(), None)
        .map(|assembly| assembly.plan.show())
        .unwrap_err()
        .to_string()
}

fn order(assembly: &Assembly) -> Vec<&str> {
    assembly.stack.security.iter().map(|upgrader| upgrader.name.as_str()).collect()
}

#[test]
fn a_protocol_that_proves_nothing_has_to_be_named_twice() {
    let listed = "[stack]\nsecurity = [\"noise\", \"plaintext\"]";
    assert_eq!(
        refused(listed),
        "1 problem in the configuration:\n  \
         1. stack.security: `plaintext` neither hides what is said nor proves who says it, and `swarm.allow_insecure` is \
         false [file node.toml:2]\n    \
         remove \"plaintext\"; only in a network that exists for tests, set `allow_insecure = true` in [swarm]"
    );
    let assembly = assembled(&format!("{listed}\n[swarm]\nallow_insecure = true"));
    assert_eq!(
        assembly.warnings,
        [
            "INSECURE: with `plaintext`, whoever is on the way reads and changes what is said, and peers may be anybody"
        ]
    );
    assert!(assembled("[swarm]\nallow_insecure = true").warnings.is_empty());
}

#[test]
fn a_private_network_refuses_what_it_cannot_keep_to_itself() {
    let psk = "[stack]\nprotector = \"psk\"\ntransports = [\"tcp\", \"memory\"]\n";
    assert_eq!(
        refused(&format!("listen = []\n{psk}")),
        "1 problem in the configuration:\n  \
         1. stack.transports: transport `memory` secures its links by itself, so that `psk` cannot keep them within the \
         private network [file node.toml:4]\n    \
         remove \"memory\" and its addresses in `listen`, or `protector` in [stack]"
    );
    let assembly = assembled("listen = []\n[stack]\nprotector = \"psk\"\ntransports = [\"tcp\"]");
    assert_eq!(assembly.notes, ["private network aa", "accepts the private network bb, too"]);
    assert_eq!(assembly.stack.protector.unwrap().name, "psk");
}

#[test]
fn the_order_of_a_built_in_profile_is_that_of_the_hardware_and_a_written_one_stays() {
    let slow = || {
        let builder = Registry::builder()
            .add(fakes::renamed(security::slow_tls::PLUGIN, "tls"))
            .add(fakes::noise::PLUGIN);
        fakes::others(builder).build().unwrap()
    };
    let of = |text: &str, registry: &Registry| {
        let assembly = Profile::load(&file(text)).unwrap().assemble(registry, &fakes::cx(), None).unwrap();
        let plan: Vec<_> = assembly.plan.of("security").map(|planned| planned.reference.clone()).collect();
        assert_eq!(order(&assembly), plan, "the plan says something else");
        plan
    };
    assert_eq!(of("", &registry()), ["tls", "noise"]);
    assert_eq!(of("", &slow()), ["noise", "tls"]);
    let written = "[stack]\nsecurity = [\"tls\", \"noise\"]";
    assert_eq!(of(written, &slow()), ["tls", "noise"]);
}

#[test]
fn decorators_go_around_the_plugins_that_the_profile_names() {
    let text =
        "[stack.decorators]\nmuxer.yamux = [\"ribbon\", \"ribbon/inner\"]\nsecurity.noise = [\"ribbon\"]";
    let assembly = assembled(text);
    let stack = &assembly.stack;
    assert_eq!(stack.muxers[0].object.protocol(), "/yamux/1.0.0 around yamux around yamux");
    let protocols: Vec<_> = stack.security.iter().map(|upgrader| upgrader.object.protocol()).collect();
    assert_eq!(protocols, ["/tls/1.0.0", "/ribbon"]);
    let names: Vec<_> = stack.decorators.iter().map(|decorator| decorator.name.as_str()).collect();
    assert_eq!(names, ["ribbon", "ribbon/inner"]);
    assert_eq!(assembly.warnings, ["ties ribbons", "ties ribbons"]);
    // What is shown can be read again.
    let again = assembled(&assembly.plan.show());
    assert_eq!(again.plan.around, assembly.plan.around);
}

#[test]
fn mistakes_in_decorators_are_told() {
    let help = "write `transport.tcp = [\"name\", …]` in [stack.decorators], for each plugin that something goes around";
    let table = [
        (
            "[stack]\ndecorators = [\"ribbon\"]",
            format!(
                "stack.decorators: expected a table of layers, found [\"ribbon\"] [file node.toml:2]\n    {help}"
            ),
        ),
        (
            "[stack.decorators]\ngate.ip_filter = [\"ribbon\"]",
            "stack.decorators.gate: nothing goes around plugins of \"gate\" [file node.toml:2]\n    \
             layers with decorators: transport, security, muxer, resolver"
                .into(),
        ),
        (
            "[stack.decorators]\nmuxer = [\"ribbon\"]",
            format!(
                "stack.decorators.muxer: expected a table of plugins, found [\"ribbon\"] [file node.toml:2]\n    {help}"
            ),
        ),
        (
            "[stack.decorators]\nmuxer.yamus = [\"ribbon\"]",
            "stack.decorators.muxer.yamus: \"yamus\" is not in the stack [file node.toml:2]\n    \
             did you mean `yamux`? `muxers` in [stack] has: yamux"
                .into(),
        ),
        (
            "[stack.decorators]\nmuxer.yamux = \"ribbon\"",
            format!(
                "stack.decorators.muxer.yamux: expected a list of names, found \"ribbon\" [file node.toml:2]\n    {help}"
            ),
        ),
        (
            "[stack.decorators]\nmuxer.yamux = [\"ribon\"]",
            "stack.decorators.muxer.yamux[0]: unknown decorator \"ribon\" [file node.toml:2]\n    \
             did you mean `ribbon`? linked here: ribbon; to link another, add it to `plugins!` in the binary"
                .into(),
        ),
        (
            "[stack.decorators]\nmuxer.yamux = [\"ribbon\", \"ribbon\"]",
            "stack.decorators.muxer.yamux[1]: \"ribbon\" is in the list twice [file node.toml:2]\n    \
             leave one of them out; for a second instance write \"name/instance\""
                .into(),
        ),
        (
            "[stack.decorators]\ntransport.tcp = [\"ribbon\"]",
            format!(
                "stack.decorators.transport.tcp: decorator `ribbon` does not go around plugins of layer transport \
                 [file node.toml:2]\n    {help}"
            ),
        ),
        (
            "[decorator.ribbon]",
            "decorator.ribbon: nobody references this table [file node.toml:1]\n    \
             write `<layer>.<plugin> = [\"ribbon\"]` in [stack.decorators], or remove the table"
                .into(),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(refused(text), format!("1 problem in the configuration:\n  1. {expected}"), "{text}");
    }
}
