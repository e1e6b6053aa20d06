//! The registry: sorted, complete, without duplicates, and the same whatever the order of registration.
#![allow(missing_docs, clippy::unwrap_used)]

mod fakes;

use fakes::{memory, ping, renamed, tcp, yamux};
use skep_api::{Origin, Plugin, PluginInfo, plugin::layer};
use skep_swarm::registry::{Registry, RegistryProblem};

/// What a binary writes in `src/plugins.rs`.
mod plugins {
    skep_swarm::plugins! {
        crate::fakes::tcp::PLUGIN,
        #[cfg(any())]
        crate::fakes::not_in_this_build::PLUGIN,
        crate::fakes::yamux::PLUGIN,
    }
}

fn ids<'a>(plugins: impl IntoIterator<Item = &'a PluginInfo>) -> Vec<String> {
    plugins.into_iter().map(|info| format!("{}.{}", info.layer, info.name)).collect()
}

#[test]
fn the_list_of_a_binary_names_its_plugins() {
    assert_eq!(ids(&plugins::expected()), ["transport.tcp", "muxer.yamux"]);
}

#[test]
fn what_is_linked_is_found_sorted_and_more_than_expected_is_fine() {
    let registry = Registry::from_inventory(&plugins::expected()).unwrap();
    let expected = [
        "decorator.ribbon",
        "gate.ip_filter",
        "muxer.yamux",
        "peerstore.memory",
        "protector.psk",
        "protocol.identify",
        "protocol.ping",
        "pruner.watermark",
        "ranker.smart",
        "resolver.dns",
        "resources.scoped",
        "security.noise",
        "security.plaintext",
        "security.slow_tls",
        "security.tls",
        "selector.best",
        "service.health",
        "service.reconnect",
        "transport.memory",
        "transport.quic",
        "transport.tcp",
    ];
    assert_eq!(ids(registry.plugins()), expected);
    assert_eq!(registry.names("transport"), ["memory", "quic", "tcp"]);
}

#[test]
fn a_plugin_is_found_by_its_layer_and_name() {
    let registry = fakes::registry();
    assert_eq!(registry.find::<layer::Transport>("tcp").unwrap().summary, "fake TCP");
    assert!(registry.find::<layer::Transport>("yamux").is_none());
    assert!(registry.find::<layer::Muxer>("tcp").is_none());
}

#[test]
fn the_order_of_registration_changes_nothing() {
    let forward =
        Registry::builder().add(tcp::PLUGIN).add(yamux::PLUGIN).add(memory::PLUGIN).add(ping::PLUGIN);
    let shuffled =
        Registry::builder().add(ping::PLUGIN).add(memory::PLUGIN).add(tcp::PLUGIN).add(yamux::PLUGIN);
    let (forward, shuffled) = (forward.build().unwrap(), shuffled.build().unwrap());
    assert_eq!(ids(forward.plugins()), ids(shuffled.plugins()));
}

#[test]
fn the_order_of_registration_does_not_change_errors() {
    let other = Plugin {
        origin: Origin { krate: "another-tcp", version: "2.0.0", ..tcp::PLUGIN.origin },
        ..tcp::PLUGIN
    };
    let one = Registry::builder().add(tcp::PLUGIN).add(other).build().unwrap_err();
    let two = Registry::builder().add(other).add(tcp::PLUGIN).build().unwrap_err();
    assert_eq!(one, two);
}

#[test]
fn a_plugin_that_was_linked_and_did_not_register_is_named_with_the_cure() {
    let ghost = renamed(tcp::PLUGIN, "ghost").info();
    let error = Registry::from_inventory(&[yamux::PLUGIN.info(), ghost]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plugins of this program are not as it expects:\n  \
         1. transport `ghost` of skep-swarm 0.1.0 is named by the program but did not register\n    \
         its constructor was not linked, or another version of skep-api collected it: see \
         `cargo tree -i skep-api`, or add its PLUGIN to `Registry::builder()`"
    );
}

#[test]
fn two_plugins_of_one_name_are_refused_with_both_crates() {
    let origin =
        Origin { krate: "another-tcp", version: "2.0.0", file: "src/lib.rs", line: 7, ..tcp::PLUGIN.origin };
    let error = fakes::builder().add(Plugin { origin, ..tcp::PLUGIN }).build().unwrap_err();
    let line = tcp::PLUGIN.origin.line;
    assert_eq!(
        error.to_string(),
        format!(
            "the plugins of this program are not as it expects:\n  \
             1. transport `tcp` is registered twice: by another-tcp 2.0.0 (src/lib.rs:7) and by skep-swarm 0.1.0 \
             ({}:{line})\n    link one of them only, or rename one",
            tcp::PLUGIN.origin.file
        )
    );
}

#[test]
fn the_same_name_in_two_layers_is_no_duplicate() {
    assert!(Registry::builder().add(tcp::PLUGIN).add(renamed(yamux::PLUGIN, "tcp")).build().is_ok());
}

#[test]
fn an_empty_registry_is_an_error() {
    let error = Registry::builder().build().unwrap_err();
    assert_eq!(error.problems, [RegistryProblem::Empty]);
    assert_eq!(
        error.to_string(),
        "the plugins of this program are not as it expects:\n  \
         1. no plugin registered at all\n    \
         name the plugins in `plugins!` of the binary; on a target that `inventory` does not support, add them \
         to `Registry::builder()`"
    );
}
