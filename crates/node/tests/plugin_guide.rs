//! The plugin of `docs/plugins.md`: the guide shows the file that is tested here.

#![allow(unreachable_pub, reason = "the file is shown as it stands in a crate of its own")]

#[path = "plugin_guide/port_filter.rs"]
pub mod port_filter;

use skep::{
    SwarmBuilder,
    api::Keypair,
    swarm::{
        profile::{Profile, Sources},
        registry::Registry,
    },
};

skep_testkit::plugin_suite!(port_filter::PLUGIN);
skep_testkit::gate_suite!(port_filter::PLUGIN, "deny = [443]");

/// The profile in the guide.
const PROFILE: &str =
    "[stack]\ngates = [\"ip_filter\", \"port_filter\"]\n\n[gate.port_filter]\ndeny = [25, 443]\n";

#[test]
fn the_guide_shows_the_plugin_and_the_profile_that_are_tested() {
    let guide = include_str!("../../../docs/plugins.md");
    assert!(guide.contains(include_str!("plugin_guide/port_filter.rs")));
    assert!(guide.contains(PROFILE));
}

#[tokio::test]
async fn a_node_with_the_plugin_does_not_dial_the_port() {
    let registry = Registry::from_inventory(&skep::plugins::expected()).unwrap();
    let profile = Profile::load(&Sources::new().text("guide.toml", PROFILE)).unwrap();
    let builder = SwarmBuilder::new(Keypair::generate_ed25519());
    let assembly = profile.assemble(&registry, builder.build_cx(), None).unwrap();
    let swarm = builder.stack(assembly.stack).settings(assembly.settings).build().unwrap();
    let error = swarm.dial_addr(&"/ip4/127.0.0.1/tcp/25".parse().unwrap()).await.unwrap_err();
    let attempt = error.report().unwrap().addrs[0].outcome.error().unwrap();
    assert_eq!((attempt.plugin.as_str(), attempt.cause.code()), ("port_filter", "denied"));
}
