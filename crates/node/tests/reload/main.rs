//! A running node takes another configuration: all of it, or none of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod configs;
mod faults;
mod under_load;

use skep::{
    Swarm, SwarmBuilder,
    api::Keypair,
    swarm::{
        profile::{Profile, Sources},
        registry::Registry,
    },
};

/// A profile of this text over the built-in `default`.
fn profile(text: &str) -> Profile {
    Profile::load(&Sources::new().text("node.toml", text)).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn registry() -> Registry {
    Registry::from_inventory(&skep::plugins::expected()).unwrap()
}

/// A node of this profile, listening where that says.
async fn start(text: &str, registry: &Registry) -> Swarm {
    let builder = SwarmBuilder::new(Keypair::generate_ed25519());
    let assembly =
        profile(text).assemble(registry, builder.build_cx(), None).unwrap_or_else(|e| panic!("{e}"));
    let node = builder.assembly(&assembly).build().unwrap();
    for outcome in node.listen_all(&assembly.listen).await {
        outcome.result.unwrap();
    }
    node
}

/// What there is to see of a node's configuration.
fn state(node: &Swarm) -> String {
    let mut listening: Vec<_> = node.listeners().iter().map(|l| l.asked.to_string()).collect();
    listening.sort();
    let gates: Vec<_> = node.gates().into_iter().map(|gate| (gate.name, gate.shadow)).collect();
    let stack = node.stack();
    let services: Vec<_> = node.service_reports().into_keys().collect();
    let (dial, settings) = (node.dial_settings(), node.settings());
    format!(
        "{}\nlistening: {listening:?}\ngates: {gates:?} {:?}\nservices: {services:?}\n{settings:?}\n{dial:?}\n\
         {:?} {:?} {:?} {:?}\nprotocols: {:?}",
        node.plan().unwrap().show(),
        stack.gates,
        stack.pruner,
        stack.resolver,
        stack.ranker,
        stack.selector,
        node.handled_protocols(),
    )
}
