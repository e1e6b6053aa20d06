//! Plugins that do nothing, with the names and keys that the built-in profiles use.
#![allow(dead_code, missing_docs, unreachable_pub)]

mod lower;
pub mod security;
mod services;
mod upper;

use skep_api::{BuildCx, Keypair, Layer, Plugin};
use skep_swarm::{
    Tasks,
    profile::{Profile, Sources},
    registry::{Registry, RegistryBuilder},
};

pub use lower::{memory, quic, tcp, yamux};
pub use security::{noise, tls};
pub use services::{health, reconnect};
pub use upper::{best, dns, identify, ip_filter, ping, scoped, smart, store, watermark};

/// All fakes but `memory`, by hand.
pub fn builder() -> RegistryBuilder {
    others(Registry::builder().add(noise::PLUGIN).add(tls::PLUGIN))
}

/// With all fakes but `memory` and those of security.
pub fn others(builder: RegistryBuilder) -> RegistryBuilder {
    builder
        .add(tcp::PLUGIN)
        .add(quic::PLUGIN)
        .add(renamed(tcp::PLUGIN, "websocket"))
        .add(yamux::PLUGIN)
        .add(ip_filter::PLUGIN)
        .add(watermark::PLUGIN)
        .add(dns::PLUGIN)
        .add(smart::PLUGIN)
        .add(store::PLUGIN)
        .add(best::PLUGIN)
        .add(scoped::PLUGIN)
        .add(ping::PLUGIN)
        .add(identify::PLUGIN)
        .add(reconnect::PLUGIN)
        .add(health::PLUGIN)
        // Of the profile `public` alone.
        .add(renamed(ip_filter::PLUGIN, "prefix_limit"))
        .add(renamed(ip_filter::PLUGIN, "rate_limit"))
        .add(renamed(health::PLUGIN, "auto_connect"))
}

/// All fakes, by hand.
pub fn registry() -> Registry {
    builder().add(memory::PLUGIN).build().unwrap()
}

/// A plugin under another name.
pub fn renamed<L: Layer>(plugin: Plugin<L>, name: &'static str) -> Plugin<L> {
    Plugin { name, ..plugin }
}

pub fn cx() -> BuildCx {
    BuildCx::new(Keypair::generate_ed25519(), Tasks::default().scope())
}

/// The mistakes that a check finds.
pub fn mistakes(sources: &Sources) -> String {
    Profile::load(sources).and_then(|profile| profile.check(&registry(), None)).unwrap_err().to_string()
}
